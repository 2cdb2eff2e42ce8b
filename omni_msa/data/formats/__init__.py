"""Tables and folders in which corpora are published, read row by row."""
