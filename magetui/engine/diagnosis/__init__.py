"""The state of a database as findings, each with the next verb."""
