"""The command line: parsing of arguments, help, error messages and exit codes of each command."""
