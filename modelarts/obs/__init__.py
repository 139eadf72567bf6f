"""Object storage: getting training logs to where a visualization job reads them."""
