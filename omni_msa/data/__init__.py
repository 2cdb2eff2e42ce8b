"""Clips, from the files of a corpus to network inputs: formats, decoding, preprocessing, caching."""
