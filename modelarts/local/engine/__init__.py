"""Processes that outlive the service, on this machine or on a Ray cluster."""
