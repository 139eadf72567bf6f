"""Region and project in environment variables."""

from typing import Mapping, Optional, Tuple

from modelarts.auth import endpoints


def said(environ: Mapping[str, str]) -> Tuple[Optional[str], Optional[str]]:
    """Return the region and project id in the variables of this package."""
    region = environ.get("MODELARTS_REGION_NAME") or environ.get("MODELARTS_REGION") or None
    return region, environ.get("MODELARTS_PROJECT_ID") or None


def ambient(environ: Mapping[str, str]) -> Tuple[Optional[str], Optional[str]]:
    """Return the region and project id in the variables of a notebook or training container.

    In a container the region is part of the endpoints' names.
    """
    region = environ.get("REGION_NAME") or None
    for service, variable in (("modelarts", "MA_APIGW_ENDPOINT"), ("obs", "S3_ENDPOINT")):
        region = region or endpoints.region_of(service, environ.get(variable, ""))
    return region, environ.get("PROJECT_ID") or None
