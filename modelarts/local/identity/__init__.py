"""Users, passwords and the authentication of requests."""
