"""Figures of a sweep, one file a figure; only here are matplotlib and scikit-learn."""
