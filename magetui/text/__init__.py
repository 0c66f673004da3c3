"""Values as text, the same on the command line, on the screen and in reports."""
