"""SQL Server, experimentally, through any of four drivers."""
