"""Readouts, one file per readout: how the output of the backbone becomes a score. New files are found by themselves."""
