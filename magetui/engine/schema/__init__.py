"""The live schema: read, and spelled so that two schemas can be compared."""
