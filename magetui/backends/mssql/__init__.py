"""SQL Server through any of four drivers; experimental."""
