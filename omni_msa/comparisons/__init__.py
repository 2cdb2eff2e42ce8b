"""Pairs of cells: what differs between them, how sure it is, and what may be said about it."""
