"""Flags, environment variables and configuration files, made into one frozen `Settings`."""
