"""Twenty broken databases, and what recovers each of them: see README.md."""
