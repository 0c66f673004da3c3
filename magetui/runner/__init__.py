"""The child process that changes a database and runs the project's code."""
