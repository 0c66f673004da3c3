"""Practice incidents."""
