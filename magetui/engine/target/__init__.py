"""The database that the operator chose, and how to open it."""
