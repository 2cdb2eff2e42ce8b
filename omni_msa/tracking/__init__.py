"""Experiment trackers, one file per tracker: views of the ledger for comparing runs. At present MLflow."""
