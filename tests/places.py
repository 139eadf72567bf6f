"""Places that keep objects, each with a session and a bucket."""

import os


class FolderPlace:
    """The ``file:`` endpoint of the local service."""

    def __init__(self, request, tmp_path):
        service = request.getfixturevalue("service")
        self.bucket = "b-" + os.urandom(6).hex()
        self.root = service.root / "obs"
        (self.root / self.bucket).mkdir(mode=0o700)
        self.session = service.session(obs_endpoint=service.connection["obs_endpoint"])

    def close(self):
        self.session.close()
