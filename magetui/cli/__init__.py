"""The command line: parse the arguments, ask the engine, print the answer."""
