"""The adapter of requests, without work at each call that this package does not need.

The connection pool of an address is looked up once, and no cookies are kept. ``send`` itself is
unchanged: the ``responses`` library replaces it, so mocks keep working.
"""

from __future__ import annotations

from queue import Empty
from typing import Any, Dict, Mapping, Optional

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers


class Adapter(HTTPAdapter):
    """The adapter of a session: ``verify``, ``cert`` and the proxies of an address are constant."""

    def __init__(self) -> None:
        super().__init__(pool_connections=4, pool_maxsize=32, max_retries=0)
        self._pools: Dict[str, Any] = {}

    def close(self) -> None:
        """Close the idle connections now.

        urllib3 leaves that to the garbage collector from 2.0 on, which cannot free them while an
        error, with the frames of its traceback, is referenced. A pool itself stays open for
        threads in the middle of a call.
        """
        super().close()
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            idle = pool.pool
            while idle is not None and not idle.empty():
                try:
                    connection = idle.get(block=False)
                except Empty:  # another thread took it
                    break
                if connection is not None:
                    connection.close()

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: Any,
        proxies: Optional[Mapping[str, str]] = None,
        cert: Any = None,
    ) -> Any:
        """Return the pool of connections to this address (requests from 2.32 on)."""
        address = _address(request.url)
        pool = self._pools.get(address)
        if pool is None:
            pool = super().get_connection_with_tls_context(
                request, verify, proxies=dict(proxies or {}), cert=cert
            )
            self._pools[address] = pool
        return pool

    def get_connection(self, url: Any, proxies: Optional[Mapping[str, str]] = None) -> Any:
        """Return the pool of connections to this address (requests before 2.32)."""
        address = _address(url)
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = super().get_connection(url, proxies)
        return pool

    def request_url(
        self, request: requests.PreparedRequest, proxies: Optional[Mapping[str, str]]
    ) -> str:
        """Return the target for the request line: the path, unless a proxy wants the whole URL."""
        if proxies:
            return super().request_url(request, proxies)
        assert request.url is not None
        return request.url[len(_address(request.url)) :]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return the response as requests makes it, but for cookies."""
        response = requests.Response()
        response.status_code = resp.status
        response.reason = resp.reason
        response.headers = CaseInsensitiveDict(resp.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = resp
        response.url = req.url or ""
        response.request = req
        response.connection = self
        return response


def _address(url: Optional[str]) -> str:
    return "/".join((url or "").split("/", 3)[:3])
