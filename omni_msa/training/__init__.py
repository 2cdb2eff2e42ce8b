"""The one training function that every trial runs, and what it is made of."""
