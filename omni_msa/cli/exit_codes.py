"""What the exit codes mean."""

COMPLETE = 0
"""All trials are complete, or what was asked for was shown."""
SOME_FAILED = 1
"""Some trials failed; tables are written all the same."""
BAD_INPUT = 2
"""Nothing has started."""
INTERRUPTED = 75
"""Stopped before the end: the same command goes on from there."""
