"""Comparisons of cells and of whole sweeps: differences, controls, decisions, verdicts."""
