"""Removes secrets from what is shown."""

from typing import Dict, Mapping

__all__ = ["safe_headers"]

_SECRET = frozenset(
    (
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-auth-token",
        "x-security-token",
        "x-subject-token",
    )
)


def safe_headers(headers: Mapping[str, str]) -> Dict[str, str]:
    """Return a copy of ``headers`` without those that carry secrets."""
    return {name: value for name, value in headers.items() if name.lower() not in _SECRET}
