"""The database of a service: SQLite in a file, or PostgreSQL for several front ends."""
