"""The exit codes of the command line."""

COMPLETE = 0
"""All trials are complete, or the requested information was shown."""
SOME_FAILED = 1
"""Some trials failed (tables are written nevertheless), or `--check-data` found problems."""
BAD_INPUT = 2
"""The input is invalid; nothing was started."""
INTERRUPTED = 75
"""Stopped before the end; running the same command again continues."""
