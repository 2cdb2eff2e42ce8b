"""Views of the ledger for people who compare runs: MLflow."""
