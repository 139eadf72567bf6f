"""Object storage: transfer of files to and from OBS."""
