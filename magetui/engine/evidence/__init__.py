"""What the live schema says about each revision."""
