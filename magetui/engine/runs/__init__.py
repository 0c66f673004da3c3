"""Runs: starting one, following one, and reading the ones on record."""
