"""The matrix of faults: hostile scripts, databases, files and endings, and what must come of them."""
