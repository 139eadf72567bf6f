"""OBS's REST API over the buckets of the service."""
