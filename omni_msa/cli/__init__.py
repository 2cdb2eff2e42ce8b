"""The command line: arguments, one file a group of commands, what is printed, exit codes."""
