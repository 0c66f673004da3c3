"""Practice incidents, each in a temporary folder of its own."""
