"""Screens over the main one: what is about to change, what is changing, and details."""
