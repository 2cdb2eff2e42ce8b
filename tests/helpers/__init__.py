"""Small worlds for tests: tiny trials, made corpora, recorded sweeps, processes to kill."""
