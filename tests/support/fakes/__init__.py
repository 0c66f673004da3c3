"""Modules that stand for drivers of SQL Server; as a folder on PYTHONPATH they are found by the drivers' names."""
