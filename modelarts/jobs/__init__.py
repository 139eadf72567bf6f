"""Visualization jobs: their words (models, arguments) and the calls made of them."""
