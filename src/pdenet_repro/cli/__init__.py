"""The command line: what a command's words mean, what is refused, what the help says."""
