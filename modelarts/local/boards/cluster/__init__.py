"""The boards of a service on a Ray cluster: what runs on its nodes, and what the service knows."""
