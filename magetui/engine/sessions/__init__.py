"""Sessions of the database: listing them, the wait queue, and ending one."""
