"""Authentication: credentials, signatures, and tokens from IAM.

:func:`add_provider` adds a platform's own source of credentials.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelarts.auth.credentials import (
        AccessKey,
        ApplicationCredential,
        CredentialSet,
        Password,
        StaticToken,
    )
    from modelarts.auth.providers.base import CredentialsUnavailable, Provider, ProviderContext
    from modelarts.auth.providers.chain import add_provider, remove_provider

__all__ = [
    "AccessKey",
    "ApplicationCredential",
    "CredentialSet",
    "CredentialsUnavailable",
    "Password",
    "Provider",
    "ProviderContext",
    "StaticToken",
    "add_provider",
    "remove_provider",
]

_HOMES = {
    "AccessKey": "credentials",
    "ApplicationCredential": "credentials",
    "CredentialSet": "credentials",
    "StaticToken": "credentials",
    "CredentialsUnavailable": "providers.base",
    "Password": "credentials",
    "Provider": "providers.base",
    "ProviderContext": "providers.base",
    "add_provider": "providers.chain",
    "remove_provider": "providers.chain",
}


def __getattr__(name: str) -> Any:
    # Imported lazily: a session needs only some modules of this package.
    if name not in _HOMES:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    from importlib import import_module

    return getattr(import_module("modelarts.auth." + _HOMES[name]), name)
