"""Transport of requests to the services, and reading of their responses."""
