"""The OBS that ``modelarts serve`` reads, and as whom."""

from typing import TYPE_CHECKING
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

__all__ = ["obs_source"]


def obs_source(endpoint: str) -> "Source":
    """The OBS at that address, with the keys that a ``Session()`` has.

    Raises:
        InvalidArgument: it is no address of an OBS.
        CredentialsNotFound: there are no keys.
        ConfigurationError: the keys cannot be used, or the OBS client is missing.
    """
    address = normalize("obs", endpoint)
    if address.startswith("file:") or urlsplit(address).path:
        allowed = "an address such as 'https://obs.cn-north-4.myhuaweicloud.com', without a path"
        raise InvalidArgument("--obs-endpoint", endpoint, allowed)
    try:
        from modelarts.local.logs.remote import Source
    except ImportError as error:
        raise ConfigurationError(
            "--obs-endpoint needs the OBS client (%s): pip install 'modelarts[local,obs]'" % error
        ) from None
    from modelarts.session import Session

    try:
        session = Session(obs_endpoint=address)
    except CredentialsNotFound as error:
        # The command has no config_file=, only the variable.
        shown = {ExplicitConfig.name: ExplicitConfig.variable}
        tried = tuple((shown.get(name, name), reason) for name, reason in error.tried)
        raise CredentialsNotFound(
            "--obs-endpoint needs keys of that OBS. Provide one of:", tried
        ) from None
    try:
        session.keys()
    except TransportError:
        pass  # IAM may answer later; until then jobs wait
    said_by = "%s from %s" % (session.mode, session._resolved.sources["credentials"])
    return Source(address, session.keys, said_by)
