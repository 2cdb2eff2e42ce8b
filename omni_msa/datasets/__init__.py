"""Datasets, one file per corpus: where its clips are and how it is scored. New files are found by themselves."""
