"""What a program needs of its machine: device, memory limits, signals, locks, files, terminal, random numbers, errors."""
