"""Configurations: the schema of all keys, the presets, and how a command's words become one configuration."""
