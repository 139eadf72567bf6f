"""The process of the service: start, lock, network, logs."""
