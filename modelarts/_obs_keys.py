"""Sends the keys of a session to the local service that reads OBS with them."""

import logging
from threading import Thread
from typing import TYPE_CHECKING, Callable, Dict, Optional

from modelarts._internal.clock import Clock
from modelarts.errors import ModelArtsError

if TYPE_CHECKING:
    from modelarts.auth.credentials import AccessKey
    from modelarts.http.client import ServiceClient

_LOG = logging.getLogger("modelarts")
#: Seconds between two looks at temporary keys; the session renews them minutes before they expire.
_PAUSE = 60.0
#: The sender of each root folder; the last session that was given wins.
_senders: "Dict[str, KeySender]" = {}


def send(root: str, client: "ServiceClient", keys: "Callable[[], AccessKey]", clock: Clock) -> None:
    """Send the keys to the service of a root, and again when they are renewed.

    Raises:
        ApiError: IAM or the service refused.
        TransportError: no answer.
    """
    sender = _senders[root] = KeySender(client, keys)
    sender.renew()
    if sender.is_temporary:
        Thread(target=_go_on, args=(root, sender, clock), name="obs-keys", daemon=True).start()


class KeySender:
    """Sends keys to one service.

    Args:
        client: calls the service.
        keys: returns the keys as they are now.
    """

    def __init__(self, client: "ServiceClient", keys: "Callable[[], AccessKey]") -> None:
        self._client = client
        self._keys = keys
        self._sent: Optional[AccessKey] = None

    @property
    def is_temporary(self) -> bool:
        """Return True if the keys that were sent last expire."""
        return self._sent is not None and self._sent.expires_at is not None

    def renew(self) -> bool:
        """Send the keys if they are not those that were sent last; returns whether it sent any."""
        keys = self._keys()
        if keys == self._sent:
            return False
        body = {
            "access_key": keys.access_key,
            "secret_key": keys.secret_key,
            "security_token": keys.security_token,
        }
        self._client.call("send keys for OBS", "PUT", "/local/obs-keys", body=body)
        self._sent = keys
        return True


def _go_on(root: str, sender: KeySender, clock: Clock) -> None:
    while _senders.get(root) is sender:
        clock.sleep(_PAUSE)
        try:
            sender.renew()
        except ModelArtsError as error:
            _LOG.warning("the keys for OBS were not renewed in the local service: %s", error)
