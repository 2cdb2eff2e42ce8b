"""The small backbone with real weights, and the training of its towers."""
