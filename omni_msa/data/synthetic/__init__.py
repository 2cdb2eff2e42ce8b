"""A small corpus with real sentences and ratings, a synthetic voice and a drawn face."""
