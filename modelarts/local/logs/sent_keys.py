"""The keys for OBS that programs send to the service; they are kept in memory only."""

from __future__ import annotations

from threading import Lock

import attr

from modelarts.errors import TransportError


@attr.s(frozen=True, slots=True, auto_attribs=True)
class ObsKeys:
    """An access key and its secret key, with a security token where they are temporary."""

    access_key: str
    secret_key: str = attr.ib(repr=False)
    security_token: str | None = attr.ib(default=None, repr=False)


class SentKeys:
    """Holds the keys that a program has sent last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._keys: ObsKeys | None = None

    def put(self, keys: ObsKeys) -> None:
        """Use these keys from now on."""
        with self._lock:
            self._keys = keys

    def current(self) -> ObsKeys:
        """Return the keys.

        Raises:
            TransportError: no program has sent any since the service started. It is the error that
                passes: jobs wait for keys.
        """
        with self._lock:
            if self._keys is None:
                raise TransportError("none were sent yet; Session.local(obs=…) sends them", "")
            return self._keys
