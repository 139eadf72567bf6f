"""Attacks by somebody who knows the repository; ``docs/reliability.md`` has the table."""

import pytest
import requests

from modelarts.errors import PermissionDenied
from modelarts.local.identity.buckets import Access, BucketAccess, BucketsFile
from modelarts.local.identity.users import Users
from modelarts.local.identity.users_file import Accounts, edit, read
from modelarts.session import Session
from tests.console import Browser, loopback
from tests.service import PASSWORD, SECRETS, Service

pytestmark = pytest.mark.local

LINKS = "/local/console-links"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A service of local and ann, who are in team-a, with the OBS API."""
    folder = tmp_path_factory.mktemp("attacks")
    path = folder / "users.json"

    def change(users):
        users = users.with_user("local", ("team-a",)).with_user("ann", ("team-a",))
        return users.with_password("local", PASSWORD)

    users = edit(path, change)
    SECRETS.update((users.token_key, *(user.key.secret_key for user in users.by_name.values())))
    service = Service(folder / "root", "--users", str(path), "--obs-api")
    service.users = path
    yield service
    assert service.end() == 0
    assert not [line for line in service.log if line and "Traceback" in line]


@pytest.fixture
def connect(shared):
    """Makes sessions that are closed after the test."""
    made = []

    def make(**settings):
        made.append(Session(**{"region_name": "local-1", **shared.endpoints(), **settings}))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def team(connect):
    """A session of the user local with a token for the shared project."""
    login = {"username": "local", "password": PASSWORD, "account": "local"}
    return connect(project_name="local-1_team-a", **login)


def keys_of(service, name):
    """Return the permanent keys of a user, for a session."""
    key = read(service.users).by_name[name].key
    SECRETS.add(key.secret_key)
    return {"access_key": key.access_key, "secret_key": key.secret_key}


# Privilege ----------------------------------------------------------------------------------


def test_link_to_console_needs_permanent_keys(shared, connect, team):
    """A token, or keys for one project, make no session for all projects and the users."""
    with pytest.raises(PermissionDenied, match="permanent keys"):
        team.request("POST", LINKS)
    keys = team.keys()
    SECRETS.update((keys.secret_key, keys.security_token))
    temporary = connect(
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        security_token=keys.security_token,
        project_id=team.project_id,
    )
    with pytest.raises(PermissionDenied, match="permanent keys"):
        temporary.request("POST", LINKS)
    assert connect(**keys_of(shared, "local")).request("POST", LINKS)["url"]


def test_new_keys_end_sessions_and_links(shared, connect):
    """They may be of somebody who had the old keys."""
    ann = connect(**keys_of(shared, "ann"))
    used, unused = (
        loopback(ann.request("POST", LINKS)["url"], shared.connection["modelarts_endpoint"])
        for _ in range(2)
    )
    browser = Browser(shared)
    assert browser.open(used).url.endswith("/jobs")
    edit(shared.users, lambda users: users.with_new_key("ann"))
    assert browser.get("").url.endswith("/sign-in")
    assert requests.get(unused, timeout=30).status_code == 403
    browser.close()


def test_last_user_gets_nothing_from_removed_ones(tmp_path):
    """Removing users gives none of those who stay the files and the machine."""
    path = tmp_path / "users.json"
    edit(path, lambda users: users.with_user("ann").with_user("bob"))
    edit(path, lambda users: users.without_user("ann"))
    access = BucketAccess(Accounts(path), BucketsFile(tmp_path))
    own = read(path).by_name["bob"].projects[0].project_id
    assert not access.is_open  # no trainings
    assert access.of([own], "left-by-ann") is Access.NONE


def test_administrator_who_is_alone_reaches_all():
    users = Users.new().with_user("local")
    assert not users.is_shared
    assert users.with_user("ann").is_shared
    assert users.with_user("ann").without_user("local").is_shared
    assert not users.with_user("ann").without_user("ann").is_shared
