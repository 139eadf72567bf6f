"""The one user of a local service, made at random when its folder is first served."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import attr

__all__ = ["Identity", "write_private"]


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Identity:
    """Who may call the service, and the key that its tokens are sealed with."""

    project_id: str
    user_id: str
    account_id: str
    access_key: str
    secret_key: str = attr.ib(repr=False)
    password: str = attr.ib(repr=False)
    token_key: str = attr.ib(repr=False)
    region_name: str = "local-1"
    account: str = "local"
    username: str = "local"

    @classmethod
    def new(cls) -> Identity:
        """A fresh one."""
        return cls(
            project_id=secrets.token_hex(16),
            user_id=secrets.token_hex(16),
            account_id=secrets.token_hex(16),
            access_key="LOCAL" + secrets.token_hex(8).upper(),
            secret_key=secrets.token_urlsafe(30),
            password=secrets.token_urlsafe(18),
            token_key=secrets.token_hex(32),
        )

    @classmethod
    def of(cls, folder: Path) -> Identity:
        """The one of ``folder``, made if there is none. Ported code may keep its keys."""
        path = folder / "identity.json"
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            identity = cls.new()
            write_private(path, attr.asdict(identity))
            return identity
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{path} cannot be read ({error}); remove it to have a new one made"
            ) from None


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that only this user can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
