"""The addresses of the services, and the region and project in environment variables.

An endpoint is taken from the first of these sources that has it: the session's argument,
``Session.set_endpoint``, the environment, the token's catalog, the region's known pattern.
"""

from __future__ import annotations

import re
from typing import Dict, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from modelarts.errors import ConfigurationError, InvalidArgument

#: The environment variables that name each service, the first that is set wins.
ENVIRONMENT: Mapping[str, Tuple[str, ...]] = {
    "modelarts": ("MODELARTS_ENDPOINT", "MA_APIGW_ENDPOINT"),
    "iam": ("MODELARTS_IAM_ENDPOINT",),
    "obs": ("MODELARTS_OBS_ENDPOINT", "S3_ENDPOINT"),
}
# Patterns are compiled when they are first used, which most sessions never do.
_VERSION = {"modelarts": r"/v[12](/.*)?\Z", "iam": r"/v3(\.0)?\Z"}
_HUAWEI = r"[a-z]{2}-[a-z]+\d*-\d+\Z"
_OTC = ("eu-de", "eu-nl")
_PUBLIC = ("myhuaweicloud.com", "myhuaweicloud.eu", "otc.t-systems.com")


def normalize(service: str, value: object) -> str:
    """Return an endpoint as ``scheme://host[:port][/prefix]``.

    Scheme and version are optional: ``iam.eu-de.otc.t-systems.com/v3`` becomes
    ``https://iam.eu-de.otc.t-systems.com``. A ``file:`` URL is allowed for OBS.

    Raises:
        InvalidArgument: it is not an address.
    """
    name = service + "_endpoint"
    allowed = "an address such as 'https://%s.eu-de.otc.t-systems.com'" % service
    if not isinstance(value, str) or not value or not value.isprintable() or " " in value:
        raise InvalidArgument(name, value, allowed)
    if service == "obs" and value.startswith("file:"):
        return value
    url = value if "://" in value else "https://" + value
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname
        _port = parts.port  # raises ValueError if it is not a number
    except ValueError:
        wrong = True
    if "@" in url.split("://", 1)[1].split("/", 1)[0]:
        raise InvalidArgument(name, value, allowed + ", without a user and a password", secret=True)
    if wrong or parts.query or parts.fragment:
        raise InvalidArgument(name, value, allowed)
    path = parts.path.rstrip("/")
    if path and service in _VERSION:
        path = re.sub(_VERSION[service], "", path)
    return "%s://%s%s" % (parts.scheme, parts.netloc, path)


def from_environment(environ: Mapping[str, str]) -> Dict[str, str]:
    """Return the endpoints in the environment variables."""
    addresses = {}
    for service, names in ENVIRONMENT.items():
        for name in names:
            if environ.get(name):
                try:
                    addresses[service] = normalize(service, environ[name])
                except InvalidArgument as error:
                    raise ConfigurationError("environment: %s: %s" % (name, error)) from None
                break
    return addresses


def region_of(service: str, endpoint: str) -> Optional[str]:
    """Return the region in a public endpoint's name: cn-north-4 of ``https://obs.cn-north-4.…``."""
    address = endpoint.partition("://")[2] or endpoint
    name, _, place = address.partition("/")[0].partition(":")[0].partition(".")
    region, _, domain = place.partition(".")
    return region if region and name == service and domain in _PUBLIC else None


def package_place(environ: Mapping[str, str]) -> Tuple[Optional[str], Optional[str]]:
    """Return the region and project id in the variables of this package."""
    region = environ.get("MODELARTS_REGION_NAME") or environ.get("MODELARTS_REGION") or None
    return region, environ.get("MODELARTS_PROJECT_ID") or None


def container_place(environ: Mapping[str, str]) -> Tuple[Optional[str], Optional[str]]:
    """Return the region and project id in the variables of a notebook or training container.

    In a container the region is part of the endpoints' names.
    """
    region = environ.get("REGION_NAME") or None
    for service, variable in (("modelarts", "MA_APIGW_ENDPOINT"), ("obs", "S3_ENDPOINT")):
        region = region or region_of(service, environ.get(variable, ""))
    return region, environ.get("PROJECT_ID") or None


def is_public(region: Optional[str], address: Optional[str]) -> bool:
    """Return True for ModelArts in a region of Huawei Cloud or of Open Telekom Cloud.

    Args:
        region: the region; or None.
        address: the address of ModelArts; None if it follows from the region.
    """
    if address is not None:
        return region_of("modelarts", address) is not None
    try:
        of_region("modelarts", region)
    except ConfigurationError:
        return False
    return True


def of_region(service: str, region: Optional[str]) -> str:
    """Return a service's address in a public region of Huawei Cloud or of Open Telekom Cloud.

    Raises:
        ConfigurationError: the region is not public, or has no such service.
    """
    argument = service + "_endpoint"
    if not region:
        raise ConfigurationError(
            "no region and no %s: give region_name= or %s=" % ((argument,) * 2)
        )
    if service == "modelarts" and region == "eu-nl":
        raise ConfigurationError("region eu-nl has no ModelArts; use eu-de")
    if region in _OTC:
        return "https://%s.%s.otc.t-systems.com" % (service, region)
    if region == "eu-west-101":
        return "https://%s.%s.myhuaweicloud.eu" % (service, region)
    if re.match(_HUAWEI, region):
        return "https://%s.%s.myhuaweicloud.com" % (service, region)
    raise ConfigurationError(
        "region %r is none of Huawei Cloud's or Open Telekom Cloud's: give %s= or call "
        "Session.set_endpoint(…)" % (region, argument)
    )
