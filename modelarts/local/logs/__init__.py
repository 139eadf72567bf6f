"""The folders that boards read."""
