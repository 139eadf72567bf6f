"""Credentials in files: ModelArts' ``config.json``, Huawei Cloud's and OpenStack's."""

import json
import os
import stat
import warnings
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Set, Tuple

from modelarts._internal.warnings import level_of_the_caller
from modelarts._internal.wording import Worded
from modelarts.auth import endpoints
from modelarts.auth.credentials import AccessKey, Credentials, CredentialSet, Password
from modelarts.auth.providers.base import (
    CredentialsUnavailable,
    Provider,
    ProviderContext,
    both_or_neither,
)
from modelarts.auth.providers.environment import OPENSTACK, keystone
from modelarts.errors import ConfigurationError, InvalidArgument

#: Every spelling that has been published for the original SDK's file.
_SPELLINGS: Mapping[str, Iterable[str]] = {
    "access_key": ("access_key", "access_Key", "ak"),
    "secret_key": ("secret_key", "access_Key_Secret", "sk"),
    "security_token": ("security_token", "securitytoken"),
    "region_name": ("region_name", "region"),
    **{
        name: (name,)
        for name in ("account", "username", "password", "project_id", "obs_path", "api")
    },
    **{name + "_endpoint": (name + "_endpoint",) for name in ("modelarts", "iam", "obs")},
}
#: The keys of ``auth`` in a ``clouds.yaml`` that are used.
_CLOUD = ("ak", "sk", "security_token", *OPENSTACK)
_warned: Set[Path] = set()


class ExplicitConfig(Provider):
    """The file of ``Session(config_file=…)``, or of ``MODELARTS_CONFIG``."""

    variable = "MODELARTS_CONFIG"
    name = Worded("config_file= or " + variable, "--config-file or " + variable)

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the content of the file. A missing file that was named is an error."""
        path = _asked_for(context)
        if path is None:
            raise CredentialsUnavailable("not given")
        try:
            return _config(path, _needed(path)).replace(config_file=str(path))
        except CredentialsUnavailable as reason:
            raise ConfigurationError("%s: %s" % (path, reason)) from None

    def beside(self, credentials: Credentials, context: ProviderContext) -> Optional[CredentialSet]:
        """Return the file's settings besides credentials given elsewhere; None if no file was
        named."""
        path = _asked_for(context)
        if path is None:
            return None
        return _settings(path, _values(path, _needed(path)), credentials)


class DefaultConfig(Provider):
    """The file ``~/.modelarts/config.json``."""

    name = "~/.modelarts/config.json"

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the content of the file."""
        path = context.home / ".modelarts" / "config.json"
        text = _text_of(path)
        if text is None:
            raise CredentialsUnavailable("there is no such file")
        return _config(path, text)


class HuaweiCloudCredentials(Provider):
    """``~/.huaweicloud/credentials``, the section ``basic``."""

    name = "~/.huaweicloud/credentials"

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the content of the file."""
        path = context.home / ".huaweicloud" / "credentials"
        text = _text_of(path)
        if text is None:
            raise CredentialsUnavailable("there is no such file")
        import configparser

        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(text)
        except configparser.Error as error:
            # The message of a parser's error quotes the line, which may hold a key.
            raise ConfigurationError(
                "%s is not an INI file (%s)" % (path, type(error).__name__)
            ) from None
        if not parser.has_section("basic"):
            raise CredentialsUnavailable("it has no section [basic]")
        basic = dict(parser["basic"])
        if not both_or_neither(("ak", "sk"), basic.get, str(path)):
            raise CredentialsUnavailable("its section [basic] has no ak")
        named = {}
        if basic.get("iam_endpoint"):
            named["iam"] = endpoints.normalize("iam", basic["iam_endpoint"])
        return CredentialSet(
            credentials=AccessKey(basic["ak"], basic["sk"], basic.get("security_token") or None),
            source=str(path),
            project_id=basic.get("project_id") or None,
            endpoints=named,
        )


class CloudsYaml(Provider):
    """OpenStack's ``clouds.yaml``, with a ``secure.yaml``; ``OS_CLOUD`` chooses the cloud.

    Both are looked for as OpenStack's clients do: the first in the working directory,
    ``~/.config/openstack`` or ``/etc/openstack``, or the one that ``OS_CLIENT_CONFIG_FILE`` names.
    Needs PyYAML (extra ``[openstack]``).
    """

    name = "clouds.yaml"

    def load(self, context: ProviderContext) -> CredentialSet:
        """Return the settings of the cloud in the file."""
        wanted = context.environ.get("OS_CLOUD")
        explicit = context.environ.get("OS_CLIENT_CONFIG_FILE")
        own = context.home / ".config" / "openstack"
        folders = [
            folder
            for folder in (context.directory, own, Path("/etc/openstack"))
            if folder is not None
        ]
        if explicit:
            path = Path(os.path.expanduser(explicit))
            text = _text_of(path)
            if text is None:
                raise ConfigurationError(
                    "OS_CLIENT_CONFIG_FILE is %s; there is no such file" % explicit
                )
            folders.insert(0, path.parent)
        else:
            path, text = _first("clouds.yaml", folders)
        if text is not None:
            return self._cloud(path, text, wanted, folders)
        if wanted:
            raise ConfigurationError("OS_CLOUD is %s, and there is no clouds.yaml" % wanted)
        raise CredentialsUnavailable("there is no such file")

    def _cloud(
        self, path: Path, text: str, wanted: Optional[str], folders: List[Path]
    ) -> CredentialSet:
        clouds = _clouds(path, text)
        if not wanted and len(clouds) != 1:
            raise CredentialsUnavailable(
                "%s has %d clouds, and OS_CLOUD names none" % (path, len(clouds))
            )
        name = wanted or next(iter(clouds))
        if name not in clouds:
            raise ConfigurationError(
                "OS_CLOUD is %s; %s has %s" % (name, path, ", ".join(sorted(clouds)) or "none")
            )
        source = "%s, cloud %s" % (path, name)
        settings = _cloud_settings(clouds[name], source)
        secure, secrets = _first("secure.yaml", folders)
        if secrets is not None:
            hidden = _clouds(secure, secrets).get(name, {})
            settings.update(_cloud_settings(hidden, "%s, cloud %s" % (secure, name)))
        try:
            return keystone(settings, {}, source)
        except CredentialsUnavailable:
            reason = "%s has no ak, no username and no token" % source
            raise ConfigurationError(reason) if wanted else CredentialsUnavailable(reason) from None
        except ConfigurationError as error:
            raise ConfigurationError("%s: %s" % (source, error)) from None


def _first(name: str, folders: Iterable[Path]) -> Tuple[Path, Optional[str]]:
    """Return the path and text of the first file of that name; None for both if there is none."""
    path = Path(name)
    for folder in folders:
        path = folder / name
        text = _text_of(path)
        if text is not None:
            return path, text
    return path, None


def _cloud_settings(cloud: Mapping[str, Any], where: str) -> Dict[str, Optional[str]]:
    """Return the settings of a cloud that are set, with its region.

    Raises:
        ConfigurationError: a setting is not a text. YAML reads 0123 as the number 83, so the text
            that was written cannot be recovered.
    """
    auth = _mapping(cloud.get("auth"))
    outside = ("auth_type", "region_name")
    values = [("auth." + name, auth.get(name)) for name in _CLOUD if name not in outside]
    values += [(name, cloud.get(name)) for name in outside]
    settings: Dict[str, Optional[str]] = {}
    for name, value in values:
        if value is not None and not isinstance(value, str):
            quoted = "" if isinstance(value, (dict, list)) else "; write it in quotes"
            raise ConfigurationError("%s: %s is not a text%s" % (where, name, quoted))
        if value:
            settings[name.replace("auth.", "")] = value
    return settings


def _clouds(path: Path, text: str) -> Dict[str, Dict[str, Any]]:
    try:
        import yaml
    except ImportError:
        raise ConfigurationError(
            "%s cannot be read without PyYAML: pip install 'modelarts[openstack]'" % path
        ) from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = " at line %d" % (mark.line + 1) if mark is not None else ""
        raise ConfigurationError("%s is not YAML%s" % (path, where)) from None
    clouds = _mapping(_mapping(content).get("clouds"))
    return {str(name): _mapping(cloud) for name, cloud in clouds.items()}


def _mapping(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _asked_for(context: ProviderContext) -> Optional[Path]:
    """Return the absolute path of the requested file, which is valid in other folders too."""
    asked = context.config_file or context.environ.get(ExplicitConfig.variable)
    if not asked:
        return None
    path = Path(os.path.expanduser(asked))
    if path.is_absolute() or context.directory is None:
        return path
    return Path(os.path.normpath(str(context.directory / path)))


def _needed(path: Path) -> str:
    text = _text_of(path)
    if text is None:
        raise ConfigurationError("%s: there is no such file" % path)
    return text


def _config(path: Path, text: str) -> CredentialSet:
    values = _values(path, text)
    try:
        credentials = _credentials(path, values)
    except InvalidArgument as error:
        raise ConfigurationError("%s: %s" % (path, error)) from None
    return _settings(path, values, credentials)


def _values(path: Path, text: str) -> Dict[str, Optional[str]]:
    """Return the settings in a ``config.json``, by the names of this package."""
    try:
        content = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        raise ConfigurationError("%s is not JSON (line %d)" % (path, line)) from None
    if not isinstance(content, dict):
        raise ConfigurationError("%s is not a JSON object" % path)
    content = {**content, **_mapping(content.get("iam_config"))}
    values: Dict[str, Optional[str]] = {}
    for name, spellings in _SPELLINGS.items():
        value = next((content[spelling] for spelling in spellings if content.get(spelling)), None)
        if value is not None and not isinstance(value, str):
            raise ConfigurationError("%s: %s is not a text" % (path, name))
        values[name] = value
    return values


def _credentials(path: Path, values: Mapping[str, Optional[str]]) -> Credentials:
    if both_or_neither(("access_key", "secret_key"), values.get, str(path)):
        return AccessKey(
            values["access_key"] or "", values["secret_key"] or "", values["security_token"]
        )
    if both_or_neither(("username", "password"), values.get, str(path)):
        username = values["username"] or ""
        return Password(username, values["password"] or "", values["account"] or username)
    raise CredentialsUnavailable("it has neither access_key nor username")


def _settings(
    path: Path, values: Mapping[str, Optional[str]], credentials: Credentials
) -> CredentialSet:
    named = {}
    for service in ("modelarts", "iam", "obs"):
        address = values[service + "_endpoint"]
        if address:
            try:
                named[service] = endpoints.normalize(service, address)
            except InvalidArgument as error:
                raise ConfigurationError("%s: %s" % (path, error)) from None
    return CredentialSet(
        credentials=credentials,
        source=str(path),
        project_id=values["project_id"],
        region_name=values["region_name"],
        endpoints=named,
        obs_path=values["obs_path"],
        api=values["api"],
    )


def _text_of(path: Path) -> Optional[str]:
    """Return the text of a file; None if there is no such file.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        # Some editors begin a file with a byte order mark.
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
            mode = os.fstat(file.fileno()).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError("%s cannot be read: %s" % (path, error.strerror)) from None
    except UnicodeDecodeError:
        raise ConfigurationError("%s is not a text in UTF-8" % path) from None
    others = stat.S_IRGRP | stat.S_IROTH
    if os.name == "posix" and mode & others and path not in _warned:
        _warned.add(path)
        warnings.warn(
            "%s holds secrets and others can read it: chmod 600 %s" % (path, path),
            UserWarning,
            stacklevel=level_of_the_caller(),
        )
    return text
