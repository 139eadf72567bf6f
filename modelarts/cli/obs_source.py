"""The OBS that ``modelarts serve`` reads, and as whom."""

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

__all__ = ["obs_source", "sent_source"]


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
        pass  # IAM may answer later; until then jobs wait
    said_by = "%s from %s" % (session.mode, session.sources["credentials"])
    return Source(address, session.keys, said_by)


def sent_source(endpoint: str) -> "Tuple[Source, SentKeys]":
    """Return the OBS at that address, and what holds the keys that programs send for it.

    Raises:
        InvalidArgument: it is no address of an OBS.
        ConfigurationError: the OBS client is missing.
    """
    address = _address(endpoint)
    _need_client()
    from modelarts.local.logs.remote import Source
    from modelarts.local.logs.sent_keys import SentKeys

    keys = SentKeys()
    return Source(address, keys.current, "Session.local(obs=…)"), keys


def _address(endpoint: str) -> str:
    address = normalize("obs", endpoint)
    if address.startswith("file:") or urlsplit(address).path:
        allowed = "an address such as 'https://obs.cn-north-4.myhuaweicloud.com', without a path"
        raise InvalidArgument("--obs-endpoint", endpoint, allowed)
    return address


def _need_client() -> None:
    try:
        import modelarts.local.logs.remote  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "--obs-endpoint needs the OBS client (%s): pip install 'modelarts[local,obs]'" % error
        ) from None
