"""Authentication: credentials, signatures, and tokens from IAM.

:func:`add_provider` adds a platform's own source of credentials.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelarts.auth.credentials import (
        AccessKey,
        ApplicationCredential,
        Found,
        GivenToken,
        Password,
    )
    from modelarts.auth.providers.base import NotHere, Provider, Surroundings
    from modelarts.auth.providers.chain import add_provider, remove_provider

__all__ = [
    "AccessKey",
    "ApplicationCredential",
    "Found",
    "GivenToken",
    "NotHere",
    "Password",
    "Provider",
    "Surroundings",
    "add_provider",
    "remove_provider",
]

_HOMES = {
    "AccessKey": "credentials",
    "ApplicationCredential": "credentials",
    "Found": "credentials",
    "GivenToken": "credentials",
    "NotHere": "providers.base",
    "Password": "credentials",
    "Provider": "providers.base",
    "Surroundings": "providers.base",
    "add_provider": "providers.chain",
    "remove_provider": "providers.chain",
}


def __getattr__(name: str) -> Any:
    # Imported lazily: a session needs only some modules of this package.
    if name not in _HOMES:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    from importlib import import_module

    return getattr(import_module("modelarts.auth." + _HOMES[name]), name)
