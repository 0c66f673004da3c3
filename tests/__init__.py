"""The tests: incidents on real servers, with a real chain, seen through a real terminal."""
