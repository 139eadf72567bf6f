"""Stores of objects: OBS, and a folder in its place."""
