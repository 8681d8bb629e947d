"""Configurations: the schema of all keys, the presets, and how command-line arguments are composed with them."""
