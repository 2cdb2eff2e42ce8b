"""What finished trials show: statistics of cells, and what can be said of them in a sentence."""
