"""The official OBS client, with this package's connections and errors."""
