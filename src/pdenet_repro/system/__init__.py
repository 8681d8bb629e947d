"""The machine around a run: device, memory limits, signals, locks, files, terminal, random numbers, errors."""
