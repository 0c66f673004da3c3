"""Runs: one execution of a plan each, with a number, a journal and an outcome."""
