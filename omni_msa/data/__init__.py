"""Clips, from the files of a corpus to the inputs of the network."""
