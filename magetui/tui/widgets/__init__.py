"""Widgets and lines that several screens share."""
