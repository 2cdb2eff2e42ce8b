"""Corpora, one a file: where their clips are and how they are scored. The folder is the list."""
