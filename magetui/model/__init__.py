"""Plain values that every layer shares. They need only the standard library."""
