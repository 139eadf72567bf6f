"""Temporary keys of the agency of an Elastic Cloud Server, from its metadata service.

Source: *Elastic Cloud Server — User Guide*, "Metadata": with a token, or without a token if the
server's metadata service does not issue any.
"""

import json
from pathlib import Path
from typing import Any, Dict

from modelarts._internal.clock import Clock
from modelarts.auth.credentials import AccessKey, CredentialSet, to_seconds
from modelarts.auth.providers.base import CredentialsUnavailable, Provider, ProviderContext
from modelarts.errors import ConfigurationError, RequestKind, TransportError

_ENDPOINT = "http://169.254.169.254"
_TIMEOUT = 1.0
_TOKEN_SECONDS = "21600"
#: The names of vendor and product in the firmware of such a server.
_VENDORS = ("huawei", "openstack")


class EcsMetadata(Provider):
    """The keys of the agency of the server; requested on such a server only.

    ``MODELARTS_METADATA_ENDPOINT`` sets another address; ``off`` disables this source.
    """

    name = "ECS metadata"

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the temporary keys of the metadata service."""
        endpoint = context.environ.get("MODELARTS_METADATA_ENDPOINT")
        if endpoint == "off":
            raise CredentialsUnavailable("MODELARTS_METADATA_ENDPOINT is off")
        if not endpoint and not _may_exist():
            raise CredentialsUnavailable("this machine is no Elastic Cloud Server")
        address, clock = endpoint or _ENDPOINT, context.clock
        return CredentialSet(
            credentials=_fetch(address, clock),
            source=self.name,
            renew=lambda: _fetch(address, clock),
        )


def _fetch(endpoint: str, clock: Clock) -> AccessKey:
    """Return fresh temporary keys.

    Raises:
        CredentialsUnavailable: there was no response, or the server has no agency.
        ConfigurationError: the response cannot be read.
    """
    from modelarts.http.models import Request
    from modelarts.http.proxies import Proxies
    from modelarts.http.retry import Retry
    from modelarts.http.transport import Transport

    transport = Transport(
        timeout=_TIMEOUT,
        retry=Retry(0),
        proxies=Proxies({}, {}),
        verify=True,
        cert=None,
        clock=clock,
        user_agent="modelarts-python",
    )
    headers: Dict[str, str] = {}
    operation = "get the keys of the server's agency"
    try:
        wish = {"X-Metadata-Token-Ttl-Seconds": _TOKEN_SECONDS}
        path = "/meta-data/latest/api/token"
        token = transport.send(
            Request(
                "PUT",
                endpoint,
                path,
                headers=wish,
                operation=operation,
                kind=RequestKind.AUTHENTICATION,
            )
        )
        if token.status_code == 200:
            headers["X-Metadata-Token"] = token.body.decode("ascii", "replace").strip()
        answer = transport.send(
            Request(
                "GET",
                endpoint,
                "/openstack/latest/securitykey",
                headers=headers,
                operation=operation,
                kind=RequestKind.AUTHENTICATION,
            )
        )
    except TransportError as error:
        raise CredentialsUnavailable(
            "%s did not respond (%s)" % (endpoint, type(error).__name__)
        ) from None
    finally:
        transport.close()
    if answer.status_code != 200:
        raise CredentialsUnavailable(
            "%s returned HTTP %d; does this server have an agency?" % (endpoint, answer.status_code)
        )
    try:
        keys: Any = json.loads(answer.body)["credential"]
        return AccessKey(
            keys["access"],
            keys["secret"],
            keys["securitytoken"],
            expires_at=to_seconds(keys.get("expires_at")),
        )
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError("%s returned keys that cannot be read" % endpoint) from None


def _may_exist() -> bool:
    for name in ("sys_vendor", "product_name", "chassis_asset_tag"):
        try:
            text = Path("/sys/class/dmi/id", name).read_text().lower()
        except OSError:
            continue
        if any(vendor in text for vendor in _VENDORS):
            return True
    return False
