"""Sessions of the database: the list, the wait queue as a tree, and signals that cancel a query or end a session."""
