"""Credentials in environment variables, under the sets of names that are in use."""

from typing import Dict, Mapping, Optional, Tuple

from modelarts.auth import endpoints
from modelarts.auth.credentials import (
    AccessKey,
    ApplicationCredential,
    Credentials,
    CredentialSet,
    Password,
    StaticToken,
)
from modelarts.auth.providers.base import (
    CredentialsUnavailable,
    Provider,
    ProviderContext,
    both_or_neither,
)
from modelarts.errors import ConfigurationError, InvalidArgument


class ModelArtsVariables(Provider):
    """``MODELARTS_ACCESS_KEY`` and ``_SECRET_KEY``, or ``_USERNAME`` and ``_PASSWORD``."""

    name = "environment MODELARTS_*"

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the credentials in these variables."""
        environ = context.environ
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
            raise CredentialsUnavailable("neither %s nor %s is set" % (keys[0], user[0]))
        region, project = endpoints.package_place(environ)
        return CredentialSet(
            credentials=credentials, source=self.name, project_id=project, region_name=region
        )


class HuaweiCloudVariables(Provider):
    """``HUAWEICLOUD_SDK_AK`` and ``_SK``, as Huawei Cloud's SDKs read them."""

    name = "environment HUAWEICLOUD_SDK_*"

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the credentials in these variables."""
        names = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN")
        return CredentialSet(
            credentials=_keys(context.environ, *names),
            source=self.name,
            project_id=context.environ.get("HUAWEICLOUD_SDK_PROJECT_ID") or None,
        )


class S3Variables(Provider):
    """``S3_ACCESS_KEY_ID`` and ``S3_SECRET_ACCESS_KEY``, as in a training container."""

    name = "environment S3_*"

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the credentials in these variables."""
        names = ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_SECURITY_TOKEN")
        return CredentialSet(credentials=_keys(context.environ, *names), source=self.name)


def _keys(environ: Mapping[str, str], access: str, secret: str, token: str) -> AccessKey:
    """Return the keys in these variables, of which the token may be missing."""
    if not both_or_neither((access, secret), environ.get, "environment"):
        raise CredentialsUnavailable("%s is not set" % access)
    return AccessKey(environ[access], environ[secret], environ.get(token) or None)


#: The ``auth_type`` of application credentials.
_APPLICATION = "v3applicationcredential"
#: The environment variables of a Keystone client's settings; the first that is set is used.
OPENSTACK: Mapping[str, Tuple[str, ...]] = {
    "auth_url": ("OS_AUTH_URL",),
    "token": ("OS_TOKEN", "OS_AUTH_TOKEN"),
    "username": ("OS_USERNAME",),
    "password": ("OS_PASSWORD",),
    "auth_type": ("OS_AUTH_TYPE",),
    "user_id": ("OS_USER_ID",),
    "application_credential_id": ("OS_APPLICATION_CREDENTIAL_ID",),
    "application_credential_name": ("OS_APPLICATION_CREDENTIAL_NAME",),
    "application_credential_secret": ("OS_APPLICATION_CREDENTIAL_SECRET",),
    "user_domain_id": ("OS_USER_DOMAIN_ID",),
    "user_domain_name": ("OS_USER_DOMAIN_NAME",),
    "domain_id": ("OS_DOMAIN_ID",),
    "domain_name": ("OS_DOMAIN_NAME",),
    "project_id": ("OS_PROJECT_ID", "OS_TENANT_ID"),
    "project_name": ("OS_PROJECT_NAME", "OS_TENANT_NAME"),
    "region_name": ("OS_REGION_NAME",),
}


class OpenStackVariables(Provider):
    """``OS_USERNAME`` and ``OS_PASSWORD``, an application credential or ``OS_TOKEN``.

    As OpenStack clients read them.
    """

    name = "environment OS_*"

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the credentials in these variables."""
        environ = context.environ
        settings: Dict[str, Optional[str]] = {}
        names: Dict[str, str] = {}
        for setting, variables in OPENSTACK.items():
            names[setting] = next(
                (variable for variable in variables if environ.get(variable)), variables[0]
            )
            settings[setting] = environ.get(names[setting])
        try:
            return keystone(settings, names, self.name)
        except CredentialsUnavailable:
            raise CredentialsUnavailable("OS_USERNAME is not set, nor OS_TOKEN") from None
        except ConfigurationError as error:
            raise ConfigurationError("environment: %s" % error) from None


def keystone(
    settings: Mapping[str, Optional[str]], names: Mapping[str, str], source: str
) -> CredentialSet:
    """Return the keys, password, application credential or token of a Keystone client's settings.

    Args:
        settings: the settings, by the names that ``clouds.yaml`` has for them.
        names: the name of each setting in the source.

    Raises:
        CredentialsUnavailable: there are no credentials.
        ConfigurationError: half of a pair is missing, or a setting cannot be used; the error names
            the setting, and the caller adds the source.
    """
    by_id, account = _account(settings)
    # The settings of the arguments that a credential or an address may refuse.
    called = {
        "access_key": "ak",
        "secret_key": "sk",
        "account": account,
        "account_id": account,
        "iam_endpoint": "auth_url",
    }
    try:
        credentials = _keystone_credentials(settings, names, settings.get(account), by_id)
        auth_url = settings.get("auth_url")
        iam = {"iam": endpoints.normalize("iam", auth_url)} if auth_url else {}
    except InvalidArgument as error:
        setting = called.get(error.argument, error.argument)
        raise ConfigurationError("%s: %s" % (names.get(setting, setting), error)) from None
    return CredentialSet(
        credentials=credentials,
        source=source,
        project_id=settings.get("project_id") or None,
        project_name=settings.get("project_name") or None,
        region_name=settings.get("region_name") or endpoints.region_of("iam", auth_url or ""),
        endpoints=iam,
    )


def _account(settings: Mapping[str, Optional[str]]) -> Tuple[bool, str]:
    """Return True if the account is given by its id, and the name of its setting."""
    for owner in ("user_domain", "domain"):
        for kind in ("_id", "_name"):
            if settings.get(owner + kind):
                return kind == "_id", owner + kind
    return False, "user_domain_name"


def _keystone_credentials(
    settings: Mapping[str, Optional[str]],
    names: Mapping[str, str],
    account: Optional[str],
    by_id: bool,
) -> Credentials:
    def pair(first: str, second: str) -> bool:
        named = (names.get(first, first), names.get(second, second))
        values = dict(zip(named, (settings.get(first), settings.get(second))))
        return both_or_neither(named, values.get)

    if _is_application(settings):
        return _application_credential(settings, names, account, by_id)
    if pair("ak", "sk"):
        return AccessKey(
            settings["ak"] or "", settings["sk"] or "", settings.get("security_token") or None
        )
    token, username, password = (
        settings.get("token"),
        settings.get("username"),
        settings.get("password"),
    )
    # A token needs no user; a user's name beside it does not ask for a password.
    if token and not (username and password):
        return StaticToken(token)
    if not pair("username", "password"):
        raise CredentialsUnavailable("no credentials")
    return Password(
        username or "",
        password or "",
        (None if by_id else account) or username or "",
        account_id=account if by_id else None,
    )


def _is_application(settings: Mapping[str, Optional[str]]) -> bool:
    """Return True for application credentials: by ``auth_type``, or by their own settings."""
    kind = settings.get("auth_type")
    if kind:
        return kind == _APPLICATION
    return any(settings.get("application_credential_" + part) for part in ("id", "name", "secret"))


def _application_credential(
    settings: Mapping[str, Optional[str]],
    names: Mapping[str, str],
    account: Optional[str],
    by_id: bool,
) -> ApplicationCredential:
    def value(part: str) -> Optional[str]:
        return settings.get("application_credential_" + part) or None

    secret = value("secret")
    if secret is None:
        missing = "application_credential_secret"
        raise ConfigurationError("%s is missing" % names.get(missing, missing))
    if value("id") is not None:
        return ApplicationCredential(secret, value("id"))
    return ApplicationCredential(
        secret,
        name=value("name"),
        user_id=settings.get("user_id") or None,
        username=settings.get("username") or None,
        account=None if by_id else account,
        account_id=account if by_id else None,
    )
