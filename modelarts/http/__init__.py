"""How a request reaches a service and its answer is read."""
