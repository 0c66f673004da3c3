"""What the tests share: databases, projects, terminals, servers."""
