"""The console: the service's pages for people, rendered on the server."""
