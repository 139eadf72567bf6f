"""Places that keep objects: OBS, and a folder that stands for it."""
