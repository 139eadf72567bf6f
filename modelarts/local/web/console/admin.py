"""The pages of the service itself: its users, for the administrator, and what it is."""

from __future__ import annotations

import os
import platform
import shutil
from typing import Callable

from werkzeug.wrappers import Response

from modelarts.errors import ConfigurationError, InvalidArgument
from modelarts.local.errors import Failure
from modelarts.local.identity.users import OWNER, Users
from modelarts.local.jobs.store import StoreFailure
from modelarts.local.web.console.parts import Parts
from modelarts.local.web.console.text import size
from modelarts.local.web.console.visit import Visit

#: With fewer bytes free, the page about the service warns.
_NEARLY_FULL = 2**30


class AdminPages:
    """The pages of users, which only the user ``local`` sees, and the page about the service.

    Args:
        parts: the operations and the users.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[tuple[str, str, Callable[..., Response]]]:
        """Return the routes of these pages, as method, path and handler."""
        user = "/users/<string(maxlength=64):name>"
        return [
            ("GET", "/users", self.users),
            ("POST", "/users", self.add),
            ("GET", user, self.user),
            ("POST", user + "/password", self.password),
            ("POST", user + "/remove", self.remove),
            ("GET", "/about", self.about),
        ]

    def users(self, visit: Visit, project_id: str) -> Response:
        """Return the list of users."""
        visit.need_admin()
        return self._list(visit, "", None)

    def add(self, visit: Visit, project_id: str) -> Response:
        """Add a user with a password."""
        visit.need_admin()
        form = visit.request.form
        name, password = form.get("name", ""), form.get("password", "")
        projects = tuple(
            each.strip() for each in form.get("projects", "").split(",") if each.strip()
        )
        try:
            self._edit(lambda users: users.with_user(name, projects).with_password(name, password))
        except Failure as failure:
            return self._list(visit, name, failure)
        return visit.back("users", done="user-added")

    def user(self, visit: Visit, project_id: str, name: str) -> Response:
        """Return the page of one user."""
        visit.need_admin()
        user = self._parts.authentication.users().by_name.get(name)
        if user is None:
            raise Failure(404, "ModelArts.0015", "There is no such user.")
        return visit.render("user.html", each=user, owner=OWNER)

    def password(self, visit: Visit, project_id: str, name: str) -> Response:
        """Give a user another password, which ends the user's sessions and tokens."""
        visit.need_admin()
        password = visit.request.form.get("password", "")
        self._edit(lambda users: users.with_password(name, password))
        return visit.back("users", done="password")

    def remove(self, visit: Visit, project_id: str, name: str) -> Response:
        """Remove a user. The user ``local`` cannot remove itself."""
        visit.need_admin()
        if name == OWNER:
            raise Failure(400, "ModelArts.0104", "The user local cannot be removed here.")
        self._edit(lambda users: users.without_user(name))
        return visit.back("users", done="user-removed")

    def about(self, visit: Visit, project_id: str) -> Response:
        """Return the version, the addresses, the limits and the health of the service."""
        reach = self._parts.reach
        facts = {
            "Address for programs on this machine": reach.local,
            "Public address": reach.public or "none",
            "Region": self._parts.authentication.users().region_name,
            "Python": platform.python_version(),
        }
        health = self._health(project_id)
        if visit.is_admin:
            facts["Folder"] = str(self._parts.root)
            facts["Process"] = str(os.getpid())
        return visit.render("about.html", health=health, facts=facts, limits=self._parts.limits)

    def _health(self, project_id: str) -> dict[str, tuple[bool, str]]:
        """Return what the service needs: whether it is well, and in words."""
        try:
            active, most = self._parts.operations.active(project_id)
            jobs = True, f"it answers; {active} of {most} active jobs in this project"
        except StoreFailure as failure:
            jobs = False, failure.message
        free = shutil.disk_usage(self._parts.root).free
        words = f"{size(free)} free"
        if free < _NEARLY_FULL:
            words += ": jobs and trainings will soon fail to write"
        return {"Job table": jobs, "Disk": (free >= _NEARLY_FULL, words)}

    def _list(self, visit: Visit, name: str, failure: Failure | None) -> Response:
        users = self._parts.authentication.users()
        return visit.render(
            "users.html",
            200 if failure is None else failure.status,
            users=users.by_name.values(),
            name=name,
            failure=failure,
        )

    def _edit(self, change: Callable[[Users], Users]) -> None:
        try:
            self._parts.accounts.edit(change)
        except InvalidArgument as error:
            raise Failure(400, "ModelArts.0104", str(error)) from None
        except ConfigurationError as error:
            raise Failure(500, "ModelArts.0010", str(error)) from None
