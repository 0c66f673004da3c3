"""Plain values that every layer shares. They need the standard library alone."""
