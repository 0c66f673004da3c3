"""Widgets and lines of text that several screens share."""
