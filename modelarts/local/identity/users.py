"""The users of a service: their projects, keys and hashed passwords.

Each user has a project of their own, named as the region is; further ones, ``<region>_<name>``,
are shared by all users that were given them. Source for these names: *Identity and Access
Management — User Guide*, "Projects".
"""

from __future__ import annotations

import re
import secrets
from typing import Any, Mapping

import attr
from werkzeug.security import generate_password_hash

from modelarts.errors import InvalidArgument

#: The user that a service begins with, and that ``Session.local()`` is.
OWNER = "local"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Project:
    """A project as IAM shows it."""

    project_id: str
    name: str


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Key:
    """A permanent pair. A signature is checked with the secret key, so that is kept as it is."""

    access_key: str
    secret_key: str = attr.ib(repr=False)

    @classmethod
    def new(cls) -> Key:
        """Return a new copy of it."""
        return cls("LOCAL" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30))


@attr.s(frozen=True, slots=True, auto_attribs=True)
class User:
    """A user. ``password`` is a hash with its method and salt; None where there is none."""

    name: str
    user_id: str
    projects: tuple[Project, ...]
    key: Key
    password: str | None = attr.ib(default=None, repr=False)

    def project(self, name: str) -> Project | None:
        """Return the project of this user's projects that has this name."""
        return next((each for each in self.projects if each.name == name), None)

    def project_by_id(self, project_id: str) -> Project | None:
        """Return the project of this user's projects that has this id."""
        return next((each for each in self.projects if each.project_id == project_id), None)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Users:
    """All users of one service, which are one account; each change returns a new object."""

    account_id: str
    token_key: str = attr.ib(repr=False)
    #: The ids of shared projects by their names without the region.
    shared: Mapping[str, str]
    by_name: Mapping[str, User]
    region_name: str = "local-1"
    account: str = "local"
    #: Whether there were ever several.
    had_several: bool = False

    @property
    def is_shared(self) -> bool:
        """True if users are to be kept from each other's files.

        Also where all but one have been removed: what they left is not the last one's, unless that
        is the user that the service began with, who is its administrator.
        """
        return len(self.by_name) > 1 or (self.had_several and OWNER not in self.by_name)

    @classmethod
    def new(cls) -> Users:
        """Return an account without users."""
        return cls(secrets.token_hex(16), secrets.token_hex(32), {}, {})

    def by_access_key(self, access_key: str) -> User | None:
        """Return the user who has an access key."""
        users = (user for user in self.by_name.values() if user.key.access_key == access_key)
        return next(users, None)

    def by_id(self, user_id: object) -> User | None:
        """Return the user that has this id."""
        return next((each for each in self.by_name.values() if each.user_id == user_id), None)

    def with_user(self, name: str, projects: tuple[str, ...] = ()) -> Users:
        """Return the users with another one.

        Args:
            projects: the shared projects, without the region.

        Raises:
            InvalidArgument: there is such a user, or a name can be none.
        """
        if name in self.by_name:
            raise InvalidArgument("name", name, "a name that no user has yet")
        for what, value in (("name", name), *(("project", each) for each in projects)):
            if not _NAME.match(value):
                raise InvalidArgument(
                    what, value, "1 to 64 letters, digits, '.', '_' or '-', a letter or digit first"
                )
        shared = {**{each: secrets.token_hex(16) for each in projects}, **self.shared}
        own = Project(secrets.token_hex(16), self.region_name)
        others = (Project(shared[each], self._full(each)) for each in dict.fromkeys(projects))
        user = User(name, secrets.token_hex(16), (own, *others), Key.new())
        return attr.evolve(
            self,
            shared=shared,
            by_name={**self.by_name, name: user},
            had_several=self.had_several or bool(self.by_name),
        )

    def with_password(self, name: str, password: str) -> Users:
        """That user has this password now.

        Raises:
            InvalidArgument: there is no such user, or the password is too short.
        """
        if not 8 <= len(password) <= 1024 or not password.isprintable():
            # What was given is not repeated: it would be shown.
            raise InvalidArgument("password", "(not shown)", "8 to 1024 printable characters")
        return self._change(name, password=generate_password_hash(password, "scrypt"))

    def with_new_key(self, name: str) -> Users:
        """That user has another key now. Raises InvalidArgument where there is no such user."""
        return self._change(name, key=Key.new())

    def without_user(self, name: str) -> Users:
        """Return the users without one. Raises InvalidArgument if there is no such user."""
        self._known(name)
        left = {key: user for key, user in self.by_name.items() if key != name}
        # A file of before this was recorded may have several.
        return attr.evolve(self, by_name=left, had_several=self.had_several or bool(left))

    def to_json(self) -> dict[str, Any]:
        """Return the content of the users file."""
        return {
            "region_name": self.region_name,
            "account": self.account,
            "account_id": self.account_id,
            "token_key": self.token_key,
            "had_several": self.had_several,
            "projects": dict(self.shared),
            "users": {
                user.name: {
                    "user_id": user.user_id,
                    "project_id": user.projects[0].project_id,
                    "projects": [self._short(each) for each in user.projects[1:]],
                    "access_key": user.key.access_key,
                    "secret_key": user.key.secret_key,
                    "password": user.password,
                }
                for user in self.by_name.values()
            },
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Users:
        """Return the users in a file's content. Raises ValueError where it makes no sense."""
        try:
            names = ("region_name", "account", "account_id", "token_key")
            users = cls(shared=content["projects"], by_name={}, **{n: content[n] for n in names})
            bytes.fromhex(users.token_key)
            by_name = {
                name: User(
                    name,
                    fields["user_id"],
                    (
                        Project(fields["project_id"], users.region_name),
                        *(Project(users.shared[p], users._full(p)) for p in fields["projects"]),
                    ),
                    Key(fields["access_key"], fields["secret_key"]),
                    fields["password"],
                )
                for name, fields in content["users"].items()
            }
        except KeyError as error:
            raise ValueError(f"it says nothing of {error}") from None
        except (TypeError, AttributeError):
            raise ValueError("it has another form") from None
        had_several = content.get("had_several", False) is True or len(by_name) > 1
        return attr.evolve(users, by_name=by_name, had_several=had_several)

    def _full(self, project: str) -> str:
        return f"{self.region_name}_{project}"

    def _short(self, project: Project) -> str:
        return project.name[len(self.region_name) + 1 :]

    def _known(self, name: str) -> User:
        if name not in self.by_name:
            known = ", ".join(self.by_name) or "none"
            raise InvalidArgument("name", name, f"the name of a user; there are: {known}")
        return self.by_name[name]

    def _change(self, name: str, **changes: Any) -> Users:
        changed = attr.evolve(self._known(name), **changes)
        return attr.evolve(self, by_name={**self.by_name, name: changed})
