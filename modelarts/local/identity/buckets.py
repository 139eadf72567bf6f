"""The owners of buckets: the project that a bucket belongs to, and those it is shared with.

A service with one user has no use for them: its user reaches every bucket. They are recorded all
the same, so that a second user can be added at any time.
"""

from __future__ import annotations

import unicodedata
from enum import IntEnum
from pathlib import Path
from typing import Any, Collection, Mapping

import attr

from modelarts.local.identity.private_file import PrivateFile
from modelarts.local.identity.users import OWNER
from modelarts.local.identity.users_file import Accounts

#: In place of a project's id: all users of the service.
EVERYONE = "*"


class Access(IntEnum):
    """The kinds of access to a bucket; each includes those before it.

    READ: list and read its objects, and show boards over it. WRITE: also write and delete objects.
    OWN: also delete the bucket.
    """

    NONE = 0
    READ = 1
    WRITE = 2
    OWN = 3


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Bucket:
    """The access to one bucket.

    Args:
        owner: the id of the project that it belongs to; None: it was shared, and never given to
            a project, so it belongs to the service's first user as it did before.
        shared: the access of other projects, by their ids or :data:`EVERYONE`.
    """

    owner: str | None = None
    shared: Mapping[str, Access] = attr.ib(factory=dict)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Buckets:
    """The buckets of one service that have an owner or are shared, by name."""

    by_name: Mapping[str, Bucket] = attr.ib(factory=dict)

    def get(self, name: str) -> Bucket | None:
        """Return a bucket, None if nothing is recorded of it.

        Some file systems take names of different case or normalization for the same folder, so
        these are one bucket.
        """
        return self.by_name.get(key_of(name))

    def given(self, name: str, project_id: str) -> Buckets:
        """Return the buckets after one was given to a project."""
        bucket = self.get(name) or Bucket()
        shared = {other: access for other, access in bucket.shared.items() if other != project_id}
        return self._with(name, Bucket(project_id, shared))

    def shared(self, name: str, project_id: str, access: Access) -> Buckets:
        """Return the buckets after one was shared with a project, or no longer is (``NONE``)."""
        bucket = self.get(name) or Bucket()
        shared = {**bucket.shared, project_id: access}
        if access is Access.NONE:
            del shared[project_id]
        return self._with(name, attr.evolve(bucket, shared=shared))

    def without(self, name: str) -> Buckets:
        """Return the buckets after one was deleted."""
        key = key_of(name)
        return Buckets({other: value for other, value in self.by_name.items() if other != key})

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {
            "buckets": {
                name: {
                    "project_id": bucket.owner,
                    "shared": {other: access.name for other, access in bucket.shared.items()},
                }
                for name, bucket in self.by_name.items()
            },
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Buckets:
        """Return the buckets in a file's content. Raises ValueError where it makes no sense."""
        try:
            return cls(
                {
                    name: Bucket(
                        fields["project_id"],
                        {other: Access[access] for other, access in fields["shared"].items()},
                    )
                    for name, fields in content["buckets"].items()
                }
            )
        except KeyError as error:
            raise ValueError(f"{error} is missing or unknown") from None
        except (TypeError, AttributeError):
            raise ValueError("it has another form") from None

    def _with(self, name: str, bucket: Bucket) -> Buckets:
        return Buckets({**self.by_name, key_of(name): bucket})


class BucketsFile(PrivateFile[Buckets]):
    """The owners of the buckets in a root folder, in ``buckets.json``.

    Args:
        root: the root folder of the service.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(
            root / "buckets.json",
            "owners of buckets",
            Buckets.from_json,
            Buckets.to_json,
            Buckets,
            required=False,
        )


class BucketAccess:
    """Decides which projects reach which buckets of a running service.

    Args:
        accounts: the users of the service.
        file: the owners of its buckets.
    """

    def __init__(self, accounts: Accounts, file: BucketsFile) -> None:
        self._accounts = accounts
        self._file = file

    @property
    def is_open(self) -> bool:
        """True if the service has one user, who reaches every bucket."""
        return not self._accounts.users().is_shared

    def of(self, project_ids: Collection[str], name: str) -> Access:
        """Return the access that these projects have to a bucket, whether it exists or not."""
        users = self._accounts.users()
        if not users.is_shared:
            return Access.OWN
        bucket = self._file.current().get(name) or Bucket()
        owner = bucket.owner
        if owner is None and OWNER in users.by_name:
            owner = users.by_name[OWNER].projects[0].project_id
        if owner in project_ids:
            return Access.OWN
        shares = (bucket.shared.get(key, Access.NONE) for key in (EVERYONE, *project_ids))
        return max(shares, default=Access.NONE)

    def owner(self, name: str) -> str | None:
        """Return the id of the project that a bucket was given to, None where there is none."""
        bucket = self._file.current().get(name)
        return None if bucket is None else bucket.owner

    def claim(self, name: str, project_id: str) -> bool:
        """Give a bucket that has no owner to a project; return whether it belongs to it now.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        bucket = self._file.current().get(name)
        if bucket is None or bucket.owner is None:
            bucket = self._file.edit(lambda buckets: _claimed(buckets, name, project_id)).get(name)
        return bucket is not None and bucket.owner == project_id

    def release(self, name: str) -> None:
        """Forget the owner of a bucket that was deleted.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        if self._file.current().get(name) is not None:
            self._file.edit(lambda buckets: buckets.without(name))


def _claimed(buckets: Buckets, name: str, project_id: str) -> Buckets:
    bucket = buckets.get(name)
    if bucket is not None and bucket.owner is not None:
        return buckets  # another one came first
    return buckets.given(name, project_id)


def key_of(name: str) -> str:
    """Return the normalized name of a bucket, which identifies it."""
    return unicodedata.normalize("NFC", name).casefold()
