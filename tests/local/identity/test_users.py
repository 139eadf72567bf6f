"""Several users of one service: what each sees, and the file that they are kept in."""

import io
import json
import os
import re
import stat
import sys
import threading
import time

import attr
import pytest
import requests
from werkzeug.security import generate_password_hash

from modelarts.cli import main
from modelarts.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
)
from modelarts.estimator import VisualizationJob
from modelarts.local.errors import Throttled
from modelarts.local.identity.buckets import EVERYONE, Access, BucketsFile
from modelarts.local.identity.passwords import Logins
from modelarts.local.identity.rate_limit import Rate
from modelarts.local.identity.users import Users
from modelarts.local.identity.users_file import Accounts, edit, read
from modelarts.session import Session
from tests.servers.forkserver import run_forked
from tests.servers.service import SECRETS, Service
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.local

URL = "/bucket/logs/"
ANNS = "ann's own password"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Ann and bob are in team-a; ann and cem can log in."""
    path = tmp_path_factory.mktemp("etc") / "users.json"

    def change(users):
        users = users.with_user("ann", ("team-a",)).with_user("bob", ("team-a", "team-b"))
        users = users.with_user("cem")
        return users.with_password("ann", ANNS).with_password("cem", "cem's own password")

    users = edit(path, change)
    SECRETS.update((ANNS, users.token_key, *(u.key.secret_key for u in users.by_name.values())))
    return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory, file):
    """A service whose users may all show boards over one bucket."""
    root = tmp_path_factory.mktemp("shared")
    BucketsFile(root).edit(lambda buckets: buckets.shared("bucket", EVERYONE, Access.READ))
    service = Service(root, "--users", str(file), "--max-running", "2")
    yield service
    assert service.end() == 0


@pytest.fixture
def connect(shared, file):
    """Makes a session of a user with keys."""
    opened = []

    def make(name, **more):
        key = read(file).by_name[name].key
        opened.append(
            Session(
                access_key=key.access_key,
                secret_key=key.secret_key,
                region_name="local-1",
                **shared.endpoints(),
                **more,
            )
        )
        return opened[-1]

    yield make
    for session in opened:
        for job in VisualizationJob.iter(session):
            job.delete()
        session.close()


# Who sees what ------------------------------------------------------------------------------


def test_no_user_sees_or_changes_the_jobs_of_another(connect):
    ann, bob = connect("ann"), connect("bob")
    job = VisualizationJob.create(URL, job_name="anns", session=ann)
    assert VisualizationJob.list(bob) == []
    with pytest.raises(NotFound):
        VisualizationJob.get(job.job_id, bob)
    path = "/v1/%s/visualization-jobs" % ann.project_id
    number = "/%s" % job.job_id
    for method, rest in [
        ("GET", ""),
        ("POST", ""),
        ("GET", number),
        ("PUT", number),
        ("DELETE", number),
        ("POST", number + "/stop"),
        ("POST", number + "/restart"),
    ]:
        with pytest.raises(PermissionDenied):
            bob.request(method, path + rest, body={"job_desc": "x"})
        if rest:
            with pytest.raises(NotFound):
                bob.request(
                    method,
                    "/v1/%s/visualization-jobs%s" % (bob.project_id, rest),
                    body={"job_desc": "x"},
                )
    assert job.refresh().job_desc == ""


def test_how_many_jobs_may_be_active_is_counted_for_each_project(connect):
    ann, bob = connect("ann"), connect("bob")
    for _ in range(2):
        VisualizationJob.create(URL, session=ann)
    with pytest.raises(QuotaExceeded):
        VisualizationJob.create(URL, session=ann)
    assert VisualizationJob.get_visualization_job_list(bob)["job_count_limit"] == 2
    VisualizationJob.create(URL, session=bob)


def test_shared_project_is_for_its_members_only(connect):
    """A shared project is one for all who have it and none for others."""
    ann = connect("ann", project_name="local-1_team-a")
    bob = connect("bob", project_name="local-1_team-a")
    job = VisualizationJob.create(URL, session=ann)
    assert [one.job_id for one in VisualizationJob.iter(bob)] == [job.job_id]
    assert VisualizationJob.list(connect("bob")) == []
    found = connect("cem").request("GET", "/v3/projects", query={"name": "local-1_team-a"})
    assert found["projects"] == []


def test_a_login_is_good_for_the_projects_of_its_user(shared, file):
    def login(**project):
        session = Session(
            username="ann", password=ANNS, account="local", **project, **shared.endpoints()
        )
        with session:
            VisualizationJob.list(session)
            return session.project_id

    ann = read(file).by_name["ann"]
    assert login(region_name="local-1") == ann.projects[0].project_id
    assert login(project_name="local-1_team-a") == ann.projects[1].project_id
    with pytest.raises(AuthenticationFailed, match="no such project"):
        login(project_name="local-1_team-b")


def test_a_list_of_projects_is_of_the_callers_own(connect):
    names = {}
    for name in ("bob", "cem"):
        found = connect(name).request("GET", "/v3/projects")
        names[name] = [project["name"] for project in found["projects"]]
    assert names == {"bob": ["local-1", "local-1_team-a", "local-1_team-b"], "cem": ["local-1"]}


def test_session_local_needs_the_local_user(shared, file):
    """Session local needs a user of its own and says how others sign in."""
    with pytest.raises(ConfigurationError, match="has users of its own") as caught:
        Session.local(shared.root)
    said = str(caught.value)
    address = re.search(r"'(http://[^']+)'", said).group(1)
    key = read(file).by_name["ann"].key
    named = {
        "access_key": key.access_key,
        "secret_key": key.secret_key,
        "region_name": "local-1",
        "modelarts_endpoint": address,
        "iam_endpoint": address,
    }
    assert set(re.findall(r"\b\w+_(?:key|name|endpoint)\b", said)) == set(named)
    with Session(**named) as session:
        assert VisualizationJob.list(session) == []


# The file -----------------------------------------------------------------------------------


def test_a_password_is_kept_hashed_and_each_time_otherwise(file):
    users = read(file)
    text = file.read_text()
    assert ANNS not in text
    assert users.by_name["ann"].password.startswith("scrypt:32768:8:1$")
    again = users.with_password("ann", ANNS)
    assert again.by_name["ann"].password != users.by_name["ann"].password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_use_is_refused(tmp_path, mode):
    path = tmp_path / "users.json"
    edit(path, lambda users: users.with_user("ann"))
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"others may use it .*chmod 600"):
        read(path)
    said = run_forked("serve", "--root", str(tmp_path), "--users", str(path))
    assert said.returncode == 1
    assert "chmod 600 %s" % path in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 2}',
        '{"version": 1, "users": {}}',
        '{"version": 1, "a": 1}',
    ],
)
def test_a_file_that_makes_no_sense_is_one_clear_error(tmp_path, text):
    path = tmp_path / "users.json"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="the users cannot be read"):
        read(path)


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"users\.json: No such file"):
        read(tmp_path / "users.json")


def test_edited_file_is_read_and_broken_one_ignored(tmp_path):
    """A file is read anew when it was edited and a broken one changes nothing."""
    path = tmp_path / "users.json"
    edit(path, lambda users: users.with_user("ann"))
    accounts = Accounts(path)
    edit(path, lambda users: users.with_user("bob"))
    assert set(accounts.users().by_name) == {"ann", "bob"}
    path.write_text("{")
    assert set(accounts.users().by_name) == {"ann", "bob"}
    path.unlink()
    assert set(accounts.users().by_name) == {"ann", "bob"}


def test_two_that_edit_at_once_lose_nothing(tmp_path):
    path = tmp_path / "users.json"
    names = ["user%d" % number for number in range(8)]
    threads = [
        threading.Thread(target=edit, args=(path, lambda users, name=name: users.with_user(name)))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read(path).by_name) == set(names)
    assert os.listdir(tmp_path) == ["users.json"]


@pytest.mark.parametrize("name", ["", "a b", "../x", "ü", "a" * 65, "-a"])
def test_a_name_that_can_be_none_is_refused(name):
    with pytest.raises(InvalidArgument):
        Users.new().with_user(name)
    with pytest.raises(InvalidArgument):
        Users.new().with_user("ann", (name,))


def test_no_secret_is_in_what_is_shown_of_users(file):
    users = read(file)
    secret = {users.token_key, users.by_name["ann"].password, users.by_name["ann"].key.secret_key}
    assert not [one for one in secret if one in repr(users)]


# The command --------------------------------------------------------------------------------


def _run(monkeypatch, capsys, *arguments, typed=""):
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    code = main(["users", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_users_are_added_changed_listed_and_removed(tmp_path, monkeypatch, capsys):
    def run(*arguments, typed=""):
        where = ("--users", str(tmp_path / "users.json"))
        return _run(monkeypatch, capsys, *arguments, *where, typed=typed)

    code, out, _ = run("add", "ann", "--project", "team-a", "--password", typed="long enough\n")
    ann = read(tmp_path / "users.json").by_name["ann"]
    assert code == 0
    assert "secret_key   " + ann.key.secret_key in out
    assert "project      local-1_team-a  " + ann.projects[1].project_id in out
    _, listed, _ = run("list")
    assert [line.split(None, 3) for line in listed.splitlines()] == [
        ["NAME", "ACCESS", "KEY", "PASSWORD  PROJECTS"],
        ["ann", ann.key.access_key, "yes", "local-1, local-1_team-a"],
    ]
    _, out, _ = run("keys", "ann")
    assert ann.key.secret_key not in out
    code, _, err = run("passwd", "ann", typed="short\n")
    assert (code, "8 to 1024" in err, "short" in err) == (2, True, False)
    assert run("passwd", "ann", typed="another one\n")[0] == 0
    code, _, err = run("add", "ann")
    assert (code, "a name that no user has yet; got 'ann'" in err) == (2, True)
    assert run("remove", "ann")[0] == 0
    code, _, err = run("remove", "ann")
    assert (code, "there are: none" in err) == (2, True)


def test_users_are_told_as_json(tmp_path, monkeypatch, capsys):
    def run(*arguments, typed=""):
        where = ("--users", str(tmp_path / "users.json"), "--output", "json")
        code, out, _ = _run(monkeypatch, capsys, *arguments, *where, typed=typed)
        assert code == 0
        return json.loads(out)

    added = run("add", "ann", "--project", "team-a")
    key = read(tmp_path / "users.json").by_name["ann"].key
    assert (added["access_key"], added.pop("secret_key")) == (key.access_key, key.secret_key)
    assert added.pop("is_success") is True
    assert run("list") == [added]
    assert [project["name"] for project in added["projects"]] == ["local-1", "local-1_team-a"]
    assert run("passwd", "ann", typed="long enough\n") == {"username": "ann", "is_success": True}
    assert run("list") == [{**added, "has_password": True}]
    assert run("keys", "ann")["secret_key"] != key.secret_key
    assert run("remove", "ann") == {"username": "ann", "is_success": True}


def test_what_users_does_not_understand_names_the_command(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        _run(monkeypatch, capsys, "list", "--project", "x")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("modelarts users list: unrecognized arguments: --project x\n")
    code, _, said = _run(monkeypatch, capsys)
    assert (code, "modelarts users add ann" in said) == (2, True)


def test_a_password_can_be_set_for_the_user_of_a_folder(tmp_path, monkeypatch, capsys):
    assert (
        _run(monkeypatch, capsys, "passwd", "local", "--root", str(tmp_path), typed="x" * 9)[0] == 0
    )
    service = Service(tmp_path)
    try:
        with service.password_session(password="x" * 9) as session:
            assert VisualizationJob.list(session) == []
    finally:
        service.end()


# Logins -------------------------------------------------------------------------------------


def _login(service, name, password):
    user = {"name": name, "password": password, "domain": {"name": "local"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    with requests.Session() as plain:
        plain.trust_env = False
        return plain.post(
            service.connection["iam_endpoint"] + "/v3/auth/tokens",
            json={"auth": {"identity": identity}},
            timeout=30,
        )


def test_ten_wrong_passwords_block_one_name(shared):
    began, answers = time.monotonic(), []
    while len(answers) < 100 and {answer.status_code for answer in answers} <= {401}:
        answers.append(_login(shared, "cem", "wrong"))
    # Another one for each ten seconds that these take.
    assert 10 <= len(answers) - 1 <= 10 + (time.monotonic() - began) / 10
    assert answers[-1].status_code == 429
    assert answers[-1].json()["error_code"] == "APIG.0308"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 10
    assert _login(shared, "cem", "cem's own password").status_code == 429
    assert _login(shared, "ann", ANNS).status_code == 201


def test_right_password_costs_no_attempt(file):
    """A right password costs no try and waiting gives tries back."""
    clock = FakeClock()
    logins = Logins(clock)
    # To look at a password takes as long as a guess is to take, and here it need not.
    quick = generate_password_hash(ANNS, "scrypt:1024:8:1")
    ann = attr.evolve(read(file).by_name["ann"], password=quick)
    for _ in range(2):
        for _ in range(9):
            assert not logins.is_right(ann, "wrong", "ann", "address")
        assert logins.is_right(ann, ANNS, "ann", "address")
        clock.sleep(100)


def test_unknown_user_gets_wrong_password_answer(shared):
    said = {_login(shared, name, "x" * 9).text for name in ("nobody", "bob", "ann")}
    assert len(said) == 1


def test_a_new_password_ends_the_tokens_of_the_old_one(tmp_path):
    service = Service(tmp_path)
    try:
        with service.password_session() as session:
            VisualizationJob.list(session)
            token = session._wiring.parts.identity.token().value
            keys = session.keys()
        edit(tmp_path / "users.json", lambda users: users.with_password("local", "y" * 9))
        with requests.Session() as plain:
            plain.trust_env = False
            url = service.connection["iam_endpoint"] + "/v3/projects"
            answer = plain.get(url, headers={"X-Auth-Token": token}, timeout=30)
            assert (answer.status_code, "another password" in answer.text) == (401, True)
        with Session(
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            security_token=keys.security_token,
            region_name="local-1",
            **service.endpoints(),
        ) as session, pytest.raises(AuthenticationFailed, match="another password"):
            VisualizationJob.list(session)
    finally:
        service.end()


def test_no_more_than_two_passwords_are_hashed_at_once(monkeypatch):
    """Each costs memory and time; who comes in a crowd is told to come again."""
    hashing, at_once, refused, all_came = [], [], [], threading.Event()

    def check(hashed, password):
        hashing.append(hashed)
        at_once.append(len(hashing))
        assert all_came.wait(60)
        hashing.pop()
        return False

    monkeypatch.setattr("modelarts.local.identity.passwords.check_password_hash", check)
    logins = Logins(FakeClock())

    def login(name):
        try:
            logins.is_right(None, "x", name, "address")
        except Throttled as throttled:
            refused.append(throttled)
            if len(refused) == 12:
                all_came.set()

    threads = [threading.Thread(target=login, args=("n%d" % n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 12
    assert (len(at_once), max(at_once)) == (4, 2)


def test_caller_uses_burst_then_rate():
    """A caller may call as often as was saved up and then at the rate."""
    clock = FakeClock()
    rate = Rate(2, 3, clock, max_callers=2)
    assert [rate.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert rate.take("b") == 0
    clock.sleep(0.5)
    assert [rate.take("a") for _ in range(2)] == [0, 0.5]
    for name in ("c", "d"):
        rate.take(name)
    assert len(rate._callers) == 2


# Others' clients ----------------------------------------------------------------------------


def test_openstacksdk_sees_one_shared_project(shared, connect, file):
    """Openstacksdk logs in to a shared project and sees that alone."""
    import openstack
    from otcextensions import sdk

    ann = connect("ann", project_name="local-1_team-a")
    job = VisualizationJob.create(URL, session=ann)
    VisualizationJob.create(URL, session=connect("ann"))
    auth = {
        "auth_url": shared.connection["iam_endpoint"] + "/v3",
        "username": "ann",
        "password": ANNS,
        "project_name": "local-1_team-a",
        "user_domain_name": "local",
        "project_domain_name": "local",
    }
    connection = openstack.connection.Connection(auth=auth, region_name="local-1")
    sdk.register_otc_extensions(connection)
    try:
        listed = [str(one.job_id) for one in connection.modelartsv1.visualization_jobs()]
        assert listed == [job.job_id]
        assert connection.current_project_id == read(file).by_name["ann"].projects[1].project_id
    finally:
        connection.close()


def test_huaweicloudsdkcore_signs_for_own_projects(shared, file):
    """Huaweicloudsdkcore signs for any project of its user and no other."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer

    users = read(file).by_name
    key = users["ann"].key
    scheme, _, host = shared.connection["modelarts_endpoint"].partition("://")
    statuses = []
    for project in (*users["ann"].projects, users["bob"].projects[0]):
        request = SdkRequest(
            method="GET",
            schema=scheme,
            host=host,
            resource_path="/v1/%s/visualization-jobs" % project.project_id,
            query_params=[],
            header_params={"X-Project-Id": project.project_id},
            body=b"",
        )
        signed = Signer(BasicCredentials(key.access_key, key.secret_key)).sign(request)
        with requests.Session() as plain:
            plain.trust_env = False
            url = "%s://%s%s" % (signed.schema, signed.host, signed.uri)
            statuses.append(plain.get(url, headers=signed.header_params, timeout=30).status_code)
    assert statuses == [200, 200, 403]


def test_open_without_the_first_user_names_the_console(shared, capsys):
    """No link: there is no user named local, whom it would sign in."""
    assert main(["open", "--root", str(shared.root), "--print"]) == 0
    output = capsys.readouterr()
    assert output.out == shared.connection["modelarts_endpoint"] + "/console/\n"
    assert "sign in with a name and a password" in output.err
