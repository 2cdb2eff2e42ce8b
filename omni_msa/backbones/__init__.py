"""Backbones, one file per frozen network: its options and how to build it. New files are found by themselves."""
