"""Credentials in environment variables, in the four dialects that are in use."""

from typing import Dict, Mapping, Optional

from modelarts import endpoints
from modelarts.auth.credentials import AccessKey, Credentials, Found, GivenToken, Password
from modelarts.auth.providers import NotHere, Provider, Surroundings, both_or_neither
from modelarts.errors import ConfigurationError

__all__ = [
    "HuaweiCloudVariables",
    "ModelArtsVariables",
    "OpenStackVariables",
    "S3Variables",
    "project_id",
    "region_name",
]


def project_id(environ: Mapping[str, str]) -> Optional[str]:
    """The project that a ModelArts notebook or the user's environment names."""
    return environ.get("MODELARTS_PROJECT_ID") or environ.get("PROJECT_ID") or None


def region_name(environ: Mapping[str, str]) -> Optional[str]:
    """The region, likewise; in a training container it is in the endpoints' names."""
    named = environ.get("MODELARTS_REGION_NAME") or environ.get("MODELARTS_REGION")
    named = named or environ.get("REGION_NAME")
    if named:
        return named
    for service, variable in (("modelarts", "MA_APIGW_ENDPOINT"), ("obs", "S3_ENDPOINT")):
        if environ.get(variable):
            region = endpoints.region_of(service, environ[variable])
            if region:
                return region
    return None


class ModelArtsVariables(Provider):
    """``MODELARTS_ACCESS_KEY`` and ``_SECRET_KEY``, or ``_USERNAME`` and ``_PASSWORD``."""

    name = "environment MODELARTS_*"

    def load(self, surroundings: Surroundings) -> Found:
        """What they say."""
        environ = surroundings.environ
        keys = ("MODELARTS_ACCESS_KEY", "MODELARTS_SECRET_KEY")
        user = ("MODELARTS_USERNAME", "MODELARTS_PASSWORD")
        credentials: Credentials
        if both_or_neither(keys, environ.get, "environment"):
            token = environ.get("MODELARTS_SECURITY_TOKEN") or None
            credentials = AccessKey(environ[keys[0]], environ[keys[1]], token)
        elif both_or_neither(user, environ.get, "environment"):
            account = environ.get("MODELARTS_ACCOUNT") or environ[user[0]]
            credentials = Password(environ[user[0]], environ[user[1]], account)
        else:
            raise NotHere("neither %s nor %s is set" % (keys[0], user[0]))
        return Found(
            credentials=credentials,
            source=self.name,
            project_id=environ.get("MODELARTS_PROJECT_ID") or None,
            region_name=environ.get("MODELARTS_REGION_NAME")
            or environ.get("MODELARTS_REGION")
            or None,
        )


class HuaweiCloudVariables(Provider):
    """``HUAWEICLOUD_SDK_AK`` and ``_SK``, as Huawei Cloud's SDKs read them."""

    name = "environment HUAWEICLOUD_SDK_*"

    def load(self, surroundings: Surroundings) -> Found:
        """What they say."""
        environ = surroundings.environ
        keys = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")
        if not both_or_neither(keys, environ.get, "environment"):
            raise NotHere("HUAWEICLOUD_SDK_AK is not set")
        token = environ.get("HUAWEICLOUD_SDK_SECURITY_TOKEN") or None
        return Found(
            credentials=AccessKey(environ[keys[0]], environ[keys[1]], token),
            source=self.name,
            project_id=environ.get("HUAWEICLOUD_SDK_PROJECT_ID") or None,
        )


class S3Variables(Provider):
    """``S3_ACCESS_KEY_ID`` and ``S3_SECRET_ACCESS_KEY``, as in a training container."""

    name = "environment S3_*"

    def load(self, surroundings: Surroundings) -> Found:
        """What they say."""
        environ = surroundings.environ
        keys = ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
        if not both_or_neither(keys, environ.get, "environment"):
            raise NotHere("S3_ACCESS_KEY_ID is not set")
        token = environ.get("S3_SECURITY_TOKEN") or None
        credentials = AccessKey(environ[keys[0]], environ[keys[1]], token)
        return Found(credentials=credentials, source=self.name)


class OpenStackVariables(Provider):
    """``OS_USERNAME`` and ``OS_PASSWORD``, or ``OS_TOKEN``, as OpenStack clients read them."""

    name = "environment OS_*"

    def load(self, surroundings: Surroundings) -> Found:
        """What they say."""
        environ = surroundings.environ
        given = {
            "auth_url": environ.get("OS_AUTH_URL"),
            "token": environ.get("OS_TOKEN") or environ.get("OS_AUTH_TOKEN"),
            "username": environ.get("OS_USERNAME"),
            "password": environ.get("OS_PASSWORD"),
            "account": environ.get("OS_USER_DOMAIN_NAME") or environ.get("OS_DOMAIN_NAME"),
            "project_id": environ.get("OS_PROJECT_ID") or environ.get("OS_TENANT_ID"),
            "project_name": environ.get("OS_PROJECT_NAME") or environ.get("OS_TENANT_NAME"),
            "region_name": environ.get("OS_REGION_NAME"),
        }
        return keystone(given, self.name, "OS_USERNAME is not set, nor OS_TOKEN")


def keystone(given: Mapping[str, Optional[str]], source: str, absent: str) -> Found:
    """What a Keystone client's settings say: a password, or a token.

    Raises:
        NotHere: neither is there; with the reason ``absent``.
        ConfigurationError: one half of a password is missing.
    """
    token, username = given.get("token"), given.get("username")
    credentials: Credentials
    if both_or_neither(("username", "password"), given.get, source):
        credentials = Password(
            username or "", given.get("password") or "", given.get("account") or username or ""
        )
    elif token:
        credentials = GivenToken(token)
    else:
        raise NotHere(absent)
    named: Dict[str, str] = {}
    auth_url = given.get("auth_url")
    if auth_url:
        named["iam"] = endpoints.normalize("iam", auth_url)
    project_name = given.get("project_name") or None
    region = given.get("region_name") or endpoints.region_of("iam", auth_url or "")
    if region is None and project_name:
        # A project is named like its region, a sub-project <region>_<name>.
        region = project_name.split("_", 1)[0]
    if region is None and not named:
        raise ConfigurationError("%s: neither an auth URL nor a region is there" % source)
    return Found(
        credentials=credentials,
        source=source,
        project_id=given.get("project_id") or None,
        project_name=project_name,
        region_name=region,
        endpoints=named,
    )
