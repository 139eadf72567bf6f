"""The interface of an authorizer, and the form in which queries are signed and sent."""

from typing import Dict, Iterable, Tuple
from urllib.parse import quote

__all__ = ["Authorizer", "canonical_query"]


class Authorizer:
    """Adds to each attempt of a request what shows who sends it."""

    #: What a list's sort key is called in this mode.
    #: Source: *SDK Reference*, "Obtaining Visualization Jobs".
    sort_parameter = "sortBy"

    def authorize(
        self, method: str, path: str, query: str, headers: Dict[str, str], body: bytes, now: float
    ) -> object:
        """Add headers; returns what was used, for :meth:`renew`."""
        raise TypeError("%s authorizes nothing" % type(self).__name__)

    def renew(self, used: object) -> bool:
        """After a 401: whether there is something fresh to try once more with."""
        return False


def canonical_query(pairs: Iterable[Tuple[str, str]]) -> str:
    """Names and values encoded and sorted, ``k=`` where the value is empty.

    The session sends a query in this very form, so nothing is encoded twice.
    """
    return "&".join(
        "%s=%s" % (quote(name, safe="~"), quote(value, safe="~")) for name, value in sorted(pairs)
    )
