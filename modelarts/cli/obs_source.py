"""The OBS that ``modelarts serve`` reads, with its client and keys."""

import os
from typing import TYPE_CHECKING, Tuple
from urllib.parse import urlsplit

from modelarts.auth.endpoints import normalize
from modelarts.auth.providers.config_file import ExplicitConfig
from modelarts.errors import (
    ConfigurationError,
    CredentialsNotFound,
    InvalidArgument,
    TransportError,
)

if TYPE_CHECKING:
    from modelarts.local.logs.remote import Source
    from modelarts.local.logs.sent_keys import SentKeys

#: Seconds for a connection, and for each wait for data.
_TIMEOUT = 20
#: Retries of a request by the client itself; a failed update is repeated anyway.
_RETRIES = 1


def obs_source(endpoint: str) -> "Source":
    """Return the OBS at that address, with the keys that a ``Session()`` has.

    Raises:
        InvalidArgument: it is no address of an OBS.
        CredentialsNotFound: no keys were found.
        ConfigurationError: the keys cannot be used, or the OBS client is missing.
    """
    address = _address(endpoint)
    _need_client()
    from modelarts.local.logs.remote import Source
    from modelarts.session import Session

    try:
        session = Session(obs_endpoint=address)
    except CredentialsNotFound as error:
        # The command has no config_file=, only the variable.
        shown = {str(ExplicitConfig.name): ExplicitConfig.variable}
        tried = tuple((shown.get(name, name), reason) for name, reason in error.tried)
        raise CredentialsNotFound(
            "--obs-endpoint needs keys of that OBS. Provide one of:", tried
        ) from None
    try:
        session.keys()
    except TransportError:
        pass  # IAM may respond later; until then jobs wait
    origin = "%s from %s" % (session.mode, session.sources["credentials"])
    client = session.get_obs_client(timeout=_TIMEOUT, max_retry_count=_RETRIES)
    return Source(address, client, session.keys, origin)


def sent_source(endpoint: str) -> "Tuple[Source, SentKeys]":
    """Return the OBS at that address, and the holder of the keys that programs send for it.

    Raises:
        InvalidArgument: it is no address of an OBS.
        ConfigurationError: the OBS client is missing.
    """
    address = _address(endpoint)
    _need_client()
    from modelarts.auth.credentials import AccessKey
    from modelarts.http.proxies import Proxies
    from modelarts.local.logs.remote import Source
    from modelarts.local.logs.sent_keys import SentKeys
    from modelarts.obs.esdk.client import make_client

    keys = SentKeys()

    def current() -> AccessKey:
        sent = keys.current()
        return AccessKey(sent.access_key, sent.secret_key, sent.security_token)

    client = make_client(
        address,
        current,
        lambda refused: current() != refused,
        timeout=_TIMEOUT,
        verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
        cert=None,
        proxies=Proxies(None, os.environ).of,
        max_retry_count=_RETRIES,
    )
    return Source(address, client, current, "Session.local(obs=…)"), keys


def _address(endpoint: str) -> str:
    address = normalize("obs", endpoint)
    if address.startswith("file:") or urlsplit(address).path:
        allowed = "an address such as 'https://obs.cn-north-4.myhuaweicloud.com', without a path"
        raise InvalidArgument("--obs-endpoint", endpoint, allowed)
    return address


def _need_client() -> None:
    try:
        import modelarts.local.logs.remote
        import modelarts.obs.esdk.official  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "--obs-endpoint needs the OBS client (%s): pip install 'modelarts[local,obs]'" % error
        ) from None
