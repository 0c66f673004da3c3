"""What the program and its child process share: requests, events, the journal, redaction."""
