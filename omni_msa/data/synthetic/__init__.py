"""Generator of a small corpus: real sentences and ratings, a synthetic voice and a drawn face."""
