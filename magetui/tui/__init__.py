"""The Textual program: panes and screens over the engine. It asks, shows and routes; it decides nothing."""
