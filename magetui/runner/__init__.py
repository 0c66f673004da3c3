"""The child process that changes a database, and the journal through which everybody watches it."""
