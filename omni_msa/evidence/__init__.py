"""What finished trials show: statistics of cells, comparisons, and verdicts in a sentence."""
