"""The interface of an authorizer, and the form in which queries are signed and sent."""

from __future__ import annotations

from typing import Dict, Iterable, Tuple
from urllib.parse import quote


class Authorizer:
    """Adds the authorization to each attempt of a request."""

    #: The name of a list's sort key in this mode.
    #: Source: *SDK Reference*, "Obtaining Visualization Jobs".
    sort_parameter = "sortBy"

    def authorize(
        self, method: str, path: str, query: str, headers: Dict[str, str], body: bytes, now: float
    ) -> object:
        """Add headers; return the keys or token used, for :meth:`renew`."""
        raise TypeError("%s does not implement authorize()" % type(self).__name__)

    def renew(self, used: object) -> bool:
        """Renew refused keys or a token after a 401; return True if there are new ones to try."""
        return False


def canonical_query(pairs: Iterable[Tuple[str, str]]) -> str:
    """Return names and values encoded and sorted, ``k=`` for an empty value.

    The session sends a query in this form, so nothing is encoded twice.
    """
    return "&".join(
        "%s=%s" % (quote(name, safe="~"), quote(value, safe="~")) for name, value in sorted(pairs)
    )
