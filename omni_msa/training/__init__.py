"""The training function that every trial runs, and its parts: batches, checkpoints, evaluation."""
