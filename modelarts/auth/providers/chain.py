"""The sources of credentials, in their order; the first that has credentials is used.

Sources: *ModelArts SDK Reference*, "Session Authentication"; the conventions of Huawei Cloud's
SDKs, OpenStack clients and Elastic Cloud Server.
"""

from typing import List, Optional, Tuple

from modelarts._internal.wording import Worded, worded
from modelarts.auth import endpoints
from modelarts.auth.credentials import CredentialSet
from modelarts.auth.providers.base import CredentialsUnavailable, Provider, ProviderContext
from modelarts.auth.providers.config_file import (
    CloudsYaml,
    DefaultConfig,
    ExplicitConfig,
    HuaweiCloudCredentials,
)
from modelarts.auth.providers.ecs_metadata import EcsMetadata
from modelarts.auth.providers.environment import (
    HuaweiCloudVariables,
    ModelArtsVariables,
    OpenStackVariables,
    S3Variables,
)
from modelarts.errors import ConfigurationError, CredentialsNotFound, InvalidArgument

_GIVE = Worded(
    "Pass access_key= and secret_key=, or username= and password=, use Session.local()",
    "Use --local for the service on this machine",
)

_added: List[Tuple[Provider, Optional[str]]] = []


def add_provider(provider: Provider, before: Optional[str] = None) -> None:
    """Add a source of credentials for all sessions made from now on.

    Args:
        provider: the source, an object with a name and a method ``load``. It replaces one of the
            same name that was added before.
        before: the name of the provider that it precedes; by default that of the ECS metadata.

    Raises:
        InvalidArgument: ``provider`` is not a provider, or there is none named ``before``.

    Example:
        >>> add_provider(FromMyPlatform())                                    # doctest: +SKIP
        >>> Session().mode                                                    # doctest: +SKIP
        'AK/SK'
    """
    if not getattr(provider, "name", "") or not callable(getattr(provider, "load", None)):
        raise InvalidArgument("provider", provider, "an object with a name and a method load")
    if before is not None and before not in [each.name for each in _in_order()]:
        names = ", ".join(repr(each.name) for each in _in_order())
        raise InvalidArgument("before", before, "one of " + names)
    remove_provider(provider.name)
    _added.append((provider, before))


def remove_provider(name: str) -> None:
    """Remove a source that :func:`add_provider` added.

    Args:
        name: the name of the provider; nothing happens if none of that name was added.
    """
    _added[:] = [entry for entry in _added if entry[0].name != name]


def find(context: ProviderContext) -> CredentialSet:
    """Return the credentials of the first source that has some.

    Raises:
        CredentialsNotFound: no source has credentials; the error lists each source and its reason.
        ConfigurationError: the credentials of a source cannot be used; the error names the source.
    """
    tried = []
    for provider in _in_order():
        try:
            return _with_whole_addresses(provider.load(context))
        except CredentialsUnavailable as reason:
            tried.append((provider.name, str(reason)))
        except InvalidArgument as error:
            raise ConfigurationError(worded("%s: %s", provider.name, error)) from None
    raise CredentialsNotFound(
        worded("No credentials found. %s, or provide one of:", _GIVE),
        tuple(tried),
    )


def _with_whole_addresses(credential_set: CredentialSet) -> CredentialSet:
    named = {
        service: endpoints.normalize(service, address)
        for service, address in credential_set.endpoints.items()
    }
    return credential_set.replace(endpoints=named)


def _in_order() -> List[Provider]:
    order: List[Provider] = [
        ExplicitConfig(),
        ModelArtsVariables(),
        HuaweiCloudVariables(),
        S3Variables(),
        OpenStackVariables(),
        DefaultConfig(),
        HuaweiCloudCredentials(),
        CloudsYaml(),
        EcsMetadata(),
    ]
    for provider, before in _added:
        names = [each.name for each in order]
        order.insert(names.index(before if before in names else EcsMetadata.name), provider)
    return order
