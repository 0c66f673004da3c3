"""The revisions of a project, read from the headers of its scripts."""
