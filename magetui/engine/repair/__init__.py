"""Plans that finish or undo a partially applied revision."""
