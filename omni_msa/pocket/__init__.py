"""The pocket backbone's weights: a real small language model, and two small towers trained by this project."""
