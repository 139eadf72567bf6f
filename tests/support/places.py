"""Places that keep objects, each with a session and a bucket."""

import os

from tests.servers.cloud import Cloud, connect


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


class ServicePlace:
    """The OBS API of the local service, over that same folder."""

    def __init__(self, request, tmp_path):
        service = request.getfixturevalue("objects_service")
        self.bucket = "b-" + os.urandom(6).hex()
        (service.root / "obs" / self.bucket).mkdir(mode=0o700)
        self.session = service.session(obs_endpoint=service.connection["obs_http_endpoint"])

    def close(self):
        self.session.close()


class ObsPlace:
    """An S3 server."""

    def __init__(self, request, tmp_path):
        self.bucket = "b-" + os.urandom(6).hex()
        self.session = connect(
            Cloud,
            region_name="us-east-1",
            obs_endpoint=request.getfixturevalue("s3"),
            proxies={},
        )
        client = self.session.get_obs_client()
        try:
            assert client.createBucket(self.bucket).status == 200
        finally:
            client.close()

    def close(self):
        self.session.close()
