"""Readouts, one a file: what maps the output of the backbone to a score. The folder is the list."""
