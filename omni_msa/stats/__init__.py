"""Metrics of one trial, and statistics over seeds and clips: pure functions of arrays."""
