"""The proxy for an address, by the environment at the time when the session was made."""

from __future__ import annotations

from typing import Dict, Mapping, Optional
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # not in typeshed


class Proxies:
    """The proxies of a session.

    Args:
        proxies: ``{"https": "http://proxy:3128", …}`` as requests takes them; ``{}`` for none;
            None for those of the environment (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``
            and ``NO_PROXY``, in either case).
        environ: the environment; it is read once.
    """

    def __init__(self, proxies: Optional[Mapping[str, str]], environ: Mapping[str, str]) -> None:
        self._no_proxy = ""
        if proxies is not None:
            self._proxies = dict(proxies)
            return
        # Lower-case names take precedence, also with an empty value.
        by_scheme = {
            scheme: environ.get(scheme + "_proxy", environ.get(scheme.upper() + "_PROXY"))
            for scheme in ("http", "https", "all")
        }
        self._proxies = {scheme: url for scheme, url in by_scheme.items() if url}
        self._no_proxy = environ.get("no_proxy", environ.get("NO_PROXY", ""))

    def of(self, endpoint: str) -> Dict[str, str]:
        """Return the proxies for requests' adapter, for this endpoint."""
        if not self._proxies:
            return {}
        if self._no_proxy:
            host = urlsplit(endpoint).netloc
            if proxy_bypass_environment(host, {"no": self._no_proxy}):
                return {}
        return self._proxies
