"""The places that credentials may come from, in their order; the first that answers wins.

Sources: *ModelArts SDK Reference*, "Session Authentication"; the conventions of Huawei Cloud's
SDKs, OpenStack clients and Elastic Cloud Server.
"""

from typing import List, Optional, Tuple

from modelarts.auth import endpoints
from modelarts.auth.credentials import Found
from modelarts.auth.providers.base import NotHere, Provider, Surroundings
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

__all__ = ["add_provider", "find", "remove_provider"]

_added: List[Tuple[Provider, Optional[str]]] = []


def add_provider(provider: Provider, before: Optional[str] = None) -> None:
    """Have all sessions made from now on look at another place too.

    Args:
        provider: the place; one of the same name that was added before is replaced.
        before: the name of the provider to come before; by default it is asked when all but the
            ECS metadata have nothing to say.

    Raises:
        InvalidArgument: it is no provider, or no provider has that name.
    """
    if not getattr(provider, "name", "") or not callable(getattr(provider, "load", None)):
        raise InvalidArgument("provider", provider, "an object with a name and a method load")
    if before is not None and before not in [one.name for one in _in_order()]:
        names = ", ".join(repr(one.name) for one in _in_order())
        raise InvalidArgument("before", before, "one of " + names)
    remove_provider(provider.name)
    _added.append((provider, before))


def remove_provider(name: str) -> None:
    """Undo :func:`add_provider`; nothing happens where none of that name was added."""
    _added[:] = [entry for entry in _added if entry[0].name != name]


def find(surroundings: Surroundings) -> Found:
    """Ask each place in turn; the first that has something to say wins.

    Raises:
        CredentialsNotFound: none has; it names all of them, with their reasons.
        ConfigurationError: one has, and it cannot be used; it names that one.
    """
    tried = []
    for provider in _in_order():
        try:
            return _with_whole_addresses(provider.load(surroundings))
        except NotHere as reason:
            tried.append((provider.name, str(reason)))
        except InvalidArgument as error:
            raise ConfigurationError("%s: %s" % (provider.name, error)) from None
    raise CredentialsNotFound(
        "nothing says who you are. Give Session(access_key=…, secret_key=…) or "
        "Session(username=…, password=…), use Session.local(), or provide one of:",
        tuple(tried),
    )


def _with_whole_addresses(found: Found) -> Found:
    named = {
        service: endpoints.normalize(service, address)
        for service, address in found.endpoints.items()
    }
    return found.replace(endpoints=named)


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
        names = [one.name for one in order]
        order.insert(names.index(before) if before in names else len(order) - 1, provider)
    return order
