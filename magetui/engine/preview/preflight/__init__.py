"""The preflight: whether each operation of a plan succeeds, worked out before anything runs."""
