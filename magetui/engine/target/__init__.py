"""The target: the database that the operator chose, and the credentials that open it."""
