"""What a log of a failed migration says: the error, its revision and statement, and what they mean."""
