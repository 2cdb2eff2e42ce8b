"""Pairs of cells and whole sweeps compared: differences, control, decisions, verdicts."""
