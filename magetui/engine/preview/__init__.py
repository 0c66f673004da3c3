"""What a plan locks, how long that takes, and which data it destroys."""
