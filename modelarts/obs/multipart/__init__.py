"""Uploads and downloads of large objects in parts."""
