"""Visualization jobs as text, tables, HTML and notebook output."""
