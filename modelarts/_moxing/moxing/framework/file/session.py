"""The session of a training, made from its environment when the first call needs it."""

import os
from typing import TYPE_CHECKING, Any, Dict, Optional, Set, Tuple

from modelarts._internal.locks import ForkSafeLock
from modelarts.errors import InvalidArgument

if TYPE_CHECKING:
    from modelarts.obs.stores.base import Store
    from modelarts.session import Session

_lock = ForkSafeLock()
_settings: Dict[str, Any] = {}
_session: "Optional[Session]" = None
_folder: "Optional[Tuple[str, Store]]" = None
_ENDPOINT = "MODELARTS_OBS_ENDPOINT"

#: Folders without objects that this process made in a store which keeps no such folders.
FOLDERS: Set[Tuple[str, str]] = set()


def store() -> "Store":
    """Return the store of the session; the first call makes the session.

    Where OBS is a folder of this machine, no session and no credentials are needed.

    Returns:
        The store.

    Raises:
        CredentialsNotFound: the environment has no credentials.
    """
    global _folder, _session
    with _lock:
        endpoint = str(_settings.get("obs_endpoint") or os.environ.get(_ENDPOINT) or "")
        if endpoint.startswith("file:"):
            if _folder is None or _folder[0] != endpoint:
                from modelarts.obs.stores.folder import FolderStore

                _folder = endpoint, FolderStore(endpoint)
            return _folder[1]
        if _session is None:
            from modelarts.session import Session

            _session = Session(**_settings)
        return _session.obs.calls.store


def set_auth(
    ak: Optional[str] = None,
    sk: Optional[str] = None,
    server: Optional[str] = None,
    port: Optional[int] = None,
    is_secure: Optional[bool] = None,
    ssl_verify: Optional[bool] = None,
    long_conn_mode: Optional[bool] = None,
    path_style: Optional[bool] = None,
    retry: Optional[int] = None,
    retry_wait: Optional[float] = None,
    client_timeout: Optional[float] = None,
    list_max_keys: Optional[int] = None,
    **others: object,
) -> None:
    """Use other keys or another address of OBS from now on.

    Without ``ak``, ``sk`` and ``server`` the keys and the address of the training remain.

    Args:
        ak: the access key; requires ``sk``.
        sk: the secret key of ``ak``.
        server: the address of OBS, with or without ``https://``.
        port: the port of ``server``; by default that of the scheme.
        is_secure: False for ``http://`` if ``server`` has no scheme; by default True.
        ssl_verify: False to accept any certificate; by default True.
        long_conn_mode: accepted; connections are kept open in any case.
        path_style: accepted; the client finds out by itself.
        retry: the number of times that a request is repeated; by default 3.
        retry_wait: accepted; the pauses between attempts grow by themselves.
        client_timeout: seconds for one attempt; by default 30.
        list_max_keys: accepted.
        others: other documented settings, such as ``timeout_config``; accepted.

    Raises:
        InvalidArgument: only one of ``ak`` and ``sk`` was given, or a value is wrong.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.set_auth(retry=10)                                       # doctest: +SKIP
    """
    global _session
    changes: Dict[str, Any] = {}
    if ak is not None or sk is not None:
        changes.update(access_key=ak, secret_key=sk)
    if server is not None:
        scheme = "" if "://" in server else "http://" if is_secure is False else "https://"
        changes["obs_endpoint"] = scheme + server + (":%d" % port if port else "")
    if ssl_verify is False:
        changes["verify"] = False
    if retry is not None:
        changes["retries"] = retry
    if client_timeout is not None:
        changes["timeout"] = client_timeout
    if not changes:
        return
    from modelarts._clients import check_network
    from modelarts.auth.endpoints import normalize

    check_network(changes.get("timeout", 30), changes.get("retries", 3))
    if "obs_endpoint" in changes:
        changes["obs_endpoint"] = normalize("obs", changes["obs_endpoint"])
    if (ak is None) != (sk is None):
        raise InvalidArgument("sk" if sk is None else "ak", None, "ak and sk together")
    with _lock:
        _settings.update(changes)
        previous, _session = _session, None
    if previous is not None:
        previous.close()
