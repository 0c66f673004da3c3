"""Parts that the tests share: databases, projects, terminals, servers."""
