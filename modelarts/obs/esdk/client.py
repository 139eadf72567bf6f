"""Makes the official client of OBS for a session."""

import ipaddress
import re
import ssl
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union
from urllib.parse import quote, urlsplit

from modelarts.auth.credentials import AccessKey
from modelarts.errors import ConfigurationError
from modelarts.obs.esdk.connections import Connections, make_context

# OBS is at obs.<region>.…, private clouds of the same make at obsv3.<region>.… and the like.
_OBS_HOST = r"obs[a-z0-9-]*\."
# Parts of a bucket's name for which requests would reach another bucket, or objects in a folder.
_WITH_BUCKET = r".+\.obs\.[a-z0-9.-]+\.(myhuaweicloud\.(com|eu)|otc\.t-systems\.com)\Z"
#: Bytes that are read from a file or a connection at once.
_CHUNK = 256 * 1024


def make_client(
    endpoint: str,
    keys: Callable[[], AccessKey],
    renew: Callable[[AccessKey], bool],
    *,
    timeout: float,
    verify: Union[bool, str],
    cert: Union[None, str, Tuple[str, str]],
    proxies: Callable[[str], Mapping[str, str]],
    **settings: Any,
) -> Any:
    """Return an ``obs.ObsClient`` for this endpoint.

    OBS is addressed as ``<bucket>.<host>`` with its own signature. Any other server, such as one
    with an IP address, gets the bucket in the path and Signature Version 4, which all S3 servers
    support.

    Args:
        settings: arguments of ``obs.ObsClient``; they replace the settings made here.

    Raises:
        ConfigurationError: the extra is not installed, or the endpoint is not a server.
    """
    if endpoint.startswith("file:"):
        raise ConfigurationError(
            "there is no OBS client for a folder: obs_endpoint is %r. session.obs works on it as "
            "on OBS; its files can also be read and written directly. For other OBS clients run "
            "'modelarts serve --obs-api', and use Session.local(), or the obs_http_endpoint of its "
            "service.json as obs_endpoint" % endpoint
        )
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if parts.path.strip("/"):
        raise ConfigurationError(
            "obs_endpoint must be a server's address without a path; it is %r" % endpoint
        )
    if re.match(_WITH_BUCKET, host) and not settings.get("is_cname"):
        raise ConfigurationError(
            "obs_endpoint must be without a bucket: 'https://%s'; it is %r"
            % (host[host.index(".obs") + 1 :], endpoint)
        )
    if ":" in host:
        raise ConfigurationError(
            "the OBS client cannot use an IPv6 address: give obs_endpoint as a name; it is %r"
            % endpoint
        )
    try:
        from modelarts.obs.esdk.official import SessionClient
    except ImportError as reason:
        if (reason.name or "").split(".")[0] == "modelarts":
            raise
        raise ConfigurationError(
            "the OBS client is not installed (%s): pip install 'modelarts[obs]'" % reason
        ) from None
    is_obs = re.match(_OBS_HOST, host) is not None and not _is_address(host)
    used = {
        "server": endpoint,
        "signature": "obs" if is_obs else "v4",
        "path_style": not is_obs,
        "timeout": timeout,
        "ssl_verify": verify,
        "long_conn_mode": True,
        "chunk_size": _CHUNK,
        # The negotiation of the signature costs one more request for each bucket.
        "is_signature_negotiation": False,
        **settings,
    }
    proxy = _proxy_in(used)
    connections = Connections(
        timeout,
        lambda: make_context(used["ssl_verify"], cert),
        proxies if proxy is None else lambda address: {"all": proxy},
    )
    try:
        return SessionClient(keys, renew, connections, **used)
    except ssl.SSLError as error:  # the client reads the CA bundle
        raise ConfigurationError(
            "verify=%r cannot be used: %s" % (used["ssl_verify"], error)
        ) from error


def _proxy_in(settings: Dict[str, Any]) -> Optional[str]:
    """Remove the client's own settings of a proxy, and return its address."""
    names = ("proxy_host", "proxy_port", "proxy_username", "proxy_password")
    host, port, user, password = (settings.pop(name, None) for name in names)
    if host is None or port is None:
        return None
    known = user is not None and password is not None
    login = "%s:%s@" % (quote(user, safe=""), quote(password, safe="")) if known else ""
    return "http://%s%s:%s" % (login, host, port)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
