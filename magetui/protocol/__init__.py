"""The code that the program and its child process share: requests, events, the journal, the codec, redaction."""
