"""The project that the migration scripts belong to."""
