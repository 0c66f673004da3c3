"""The project's documents, and the script that fills in the real output."""
