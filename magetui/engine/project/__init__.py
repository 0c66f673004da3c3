"""The project that the migration scripts belong to: its files, its `env.py`, its interpreter, and Mage's releases."""
