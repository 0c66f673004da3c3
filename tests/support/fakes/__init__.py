"""The fake SQL Server and its drivers. The folder is on PYTHONPATH, so that the drivers are found by their names."""
