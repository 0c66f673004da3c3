"""What both front ends ask: values in, frozen dataclasses out; no printing, no Textual."""
