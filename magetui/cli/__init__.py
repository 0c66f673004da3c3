"""The plain command line: parse, ask the engine, print."""
