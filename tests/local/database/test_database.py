"""The database of a service: SQLite and PostgreSQL alike, and what PostgreSQL has of its own."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from modelarts.errors import ConfigurationError
from modelarts.local.database import postgres_schema
from modelarts.local.database.base import DatabaseUnavailable
from modelarts.local.database.postgres import PostgresDatabase
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.identity.shared import SharedRate, SharedReplays, SharedSessions
from modelarts.local.identity.users import OWNER
from modelarts.local.identity.users_file import Accounts, prepare
from modelarts.local.jobs.clock import ServiceClock, Timeline
from modelarts.local.jobs.shares import Shares
from modelarts.local.jobs.store import Store
from modelarts.local.training.store import Event, TrainingStore
from modelarts.models import JobStatus

pytestmark = pytest.mark.local

URL = "/bucket/logs/"
PASSWORD = "not-to-be-shown-4711"


STORES = ["sqlite", "postgres", pytest.param("postgres-trigrams", marks=pytest.mark.extended)]


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    """An empty store on each database."""
    if request.param == "sqlite":
        database = SqliteDatabase(tmp_path / "jobs.sqlite")
    else:
        server = request.getfixturevalue("postgres")
        url = server.database()
        if request.param == "postgres-trigrams":
            server.execute("CREATE EXTENSION pg_trgm", url)
        database = PostgresDatabase(url)
    store = Store(database)
    yield store
    store.close()


def _add(store, name="job", desc="", project="p", most=1000, **columns):
    return store.add(
        most,
        project_id=project,
        workspace_id="0",
        job_name=name,
        job_desc=desc,
        **{"train_url": URL, "job_type": "tensorboard", "create_time": 1, **columns},
    )


def _names(page):
    return [job.job_name for job in page[0]]


# The stores on both ------------------------------------------------------------------------


def test_jobs_are_kept_moved_and_removed(store):
    job = _add(store, "a", "Über", status=JobStatus.RUNNING, running_since=5)
    assert store.get(job.job_id) == store.get(job.job_id, "p") == job
    assert store.get(job.job_id, "q") is None
    assert store.last_start() == 5
    moved = store.move(job.job_id, [JobStatus.RUNNING], JobStatus.KILLED, job.run, reason="r")
    assert (moved.status, moved.reason) == (JobStatus.KILLED, "r")
    assert store.move(job.job_id, [JobStatus.RUNNING], JobStatus.KILLED) is None
    assert store.move(job.job_id, [JobStatus.KILLED], JobStatus.RUNNING, 2) is None
    assert store.remove(job.job_id, [JobStatus.RUNNING]) is False
    assert store.remove(job.job_id, [JobStatus.KILLED]) is True
    assert store.page("p", "0") == ([], 0)


def test_quota_counts_the_active_jobs_of_a_project(store):
    first = _add(store, most=1)
    assert _add(store, most=1) is None
    assert _add(store, project="q", most=1) is not None
    store.move(first.job_id, [JobStatus.INIT], JobStatus.KILLED)
    assert store.count_active("p") == 0
    assert _add(store, most=1) is not None


def test_pages_are_sorted_filtered_and_counted(store):
    for number in range(30):
        _add(
            store,
            "job-%02d" % (number * 7 % 30),
            "Ärger %d%%" % number,
            status=(JobStatus.KILLED, JobStatus.FAILED, JobStatus.RUNNING)[number % 3],
            create_time=number // 2,
            ran_ms=number * 13 % 30,
            running_since=100 if number % 3 == 2 else None,
            train_url="/bucket/%02d/" % (29 - number),
        )
    _add(store, "other", project="q")
    jobs = store.page("p", "0")[0]
    keys = {
        "job_id": lambda job: job.job_id,
        "job_name": lambda job: job.job_name,
        "job_desc": lambda job: job.job_desc.encode(),
        "create_time": lambda job: job.create_time,
        "status": lambda job: job.status,
        "duration": lambda job: job.duration(110),
        "log_dir": lambda job: job.train_url,
    }
    for sort_by, key in keys.items():
        for is_descending in (False, True):
            wanted = sorted(jobs, key=lambda job: (key(job), job.job_id), reverse=is_descending)
            for offset in (0, 10, 20, 27, 40):
                page, total = store.page(
                    "p",
                    "0",
                    sort_by=sort_by,
                    descending=is_descending,
                    limit=10,
                    offset=offset,
                    now=110,
                )
                assert (page, total) == (wanted[offset : offset + 10], 30), (sort_by, offset)
    failed, total = store.page("p", "0", statuses=[JobStatus.FAILED], limit=3)
    assert (total, {job.status for job in failed}, len(failed)) == (10, {JobStatus.FAILED}, 3)


def test_walk_through_many_jobs_is_as_that_of_few(store, monkeypatch):
    for number in range(40):
        status = (JobStatus.KILLED, JobStatus.FAILED)[number % 2]
        _add(store, "job-%d" % number, "some text", status=status)
    query = {"statuses": [JobStatus.FAILED], "search": "SOME", "sort_by": "job_name", "limit": 7}
    few = [store.page("p", "0", offset=offset, **query) for offset in range(0, 21, 7)]
    monkeypatch.setattr("modelarts.local.jobs.store._FEW", 3)
    for _ in range(2):  # the second time with the totals that are known
        many = [store.page("p", "0", offset=offset, **query) for offset in range(0, 21, 7)]
        assert many == few
    assert few[0][1] == 20
    store.move(few[0][0][0].job_id, [JobStatus.FAILED], JobStatus.KILLED)
    assert store.page("p", "0", **query)[1] == 19
    store.describe(few[0][0][1], "another")
    assert store.page("p", "0", **query)[1] == 18


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("ÜBER", ["a"]),
        ("50%_!", ["b"]),
        ("50", ["b"]),
        ("%", ["b"]),
        ('"', ["c"]),
        ('x "y', ["c"]),
        ("job", []),
        ("a\0", []),
        ("a" * 100, []),
    ],
)
def test_search_finds_the_text_as_it_is(store, search, names):
    _add(store, "a", "Über")
    _add(store, "b", "at 50%_!")
    _add(store, "c", 'x "y" z')
    _add(store, "d", "Über", project="q")
    assert (_names(store.page("p", "0", search=search)), names) == (names, names)
    assert store.page("p", "0", search=search)[1] == len(names)


def test_settings_shares_and_visits_are_kept(store):
    store.keep_setting("name", "1")
    store.keep_setting("name", "2")
    assert store.setting("name") == "2"
    job = _add(store, status=JobStatus.RUNNING, visited_at=5)
    shares = Shares(store, Timeline(store, ServiceClock()), 24, 1)
    share, path = shares.add(job, 1)
    key = path.split("/")[-3]
    assert shares.find(key) == job
    assert [each.share_id for each in shares.of_job(job.job_id)] == [share.share_id]
    store.keep_visits({job.job_id: 7})
    store.keep_visits({job.job_id: 6})
    assert [each.job_id for each in store.idle(7)] == [job.job_id]
    assert store.idle(6) == []
    store.remove(job.job_id, [JobStatus.RUNNING])
    assert shares.find(key) is None


def test_trainings_are_kept_with_events_and_metrics(store):
    trainings = TrainingStore(store)
    columns = {
        "project_id": "p",
        "workspace_id": "0",
        "user_name": "u",
        "name": "n",
        "description": "",
        "definition": "{}",
        "create_time": 1,
    }
    training = trainings.add(2, **columns)
    with pytest.raises(ValueError, match="n"):
        trainings.add(2, **columns)
    assert trainings.add(1, **{**columns, "name": "m"}) is None
    waiting = [JobStatus.INIT]
    assert trainings.claim(training.job_id, waiting, None, "here").runs_on == "here"
    assert trainings.claim(training.job_id, waiting, None, "elsewhere") is None
    for text in ("first", "second"):
        trainings.add_event(training.number, Event(1, "Info", text))
    assert [event.message for event in trainings.events(training.number)] == ["first", "second"]
    for value in (0.5, 1.5):
        trainings.add_metric(training.number, 0, "cpu", value)
    assert trainings.metrics(training.number) == {"cpu": {0: 1.5}}
    trainings.remove(training.number)
    assert (trainings.ids(), trainings.events(training.number)) == (set(), [])


def test_what_fails_in_a_transaction_leaves_nothing(store):
    job = _add(store)

    def change():
        with store.alone():
            store.describe(job, "changed")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert store.get(job.job_id) == job


def test_threads_do_not_exceed_the_quota(store):
    made = []
    threads = [threading.Thread(target=lambda: made.append(_add(store, most=3))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([job for job in made if job is not None]) == 3
    assert len(made) == 12


# The start -----------------------------------------------------------------------------------


def _refusal(url):
    with pytest.raises(ConfigurationError) as caught:
        PostgresDatabase(url).close()
    return str(caught.value)


def _tables(postgres, url):
    return postgres.execute("SELECT relname FROM pg_class ORDER BY oid", url)


def test_server_or_database_that_is_missing_is_named(postgres, tmp_path):
    assert str(tmp_path) in _refusal("postgresql://me:%s@/db?host=%s" % (PASSWORD, tmp_path))
    assert 'database "nowhere" does not exist' in _refusal(postgres.address("nowhere"))


def test_tables_of_something_else_are_left_alone(postgres):
    url = postgres.database()
    postgres.execute("CREATE TABLE jobs (theirs int)", url)
    before = _tables(postgres, url)
    assert "has the tables of something else (jobs)" in _refusal(url)
    assert _tables(postgres, url) == before
    postgres.execute("CREATE SCHEMA ours", url)
    PostgresDatabase(url + "&options=-csearch_path%3Dours").close()


@pytest.mark.parametrize(("version", "age"), [(99, "a newer"), (2, "an unreleased")])
def test_tables_of_another_version_are_left_alone(postgres, version, age):
    url = postgres.database()
    PostgresDatabase(url).close()
    postgres.execute("UPDATE modelarts_schema SET version = %d" % version, url)
    assert "were made by %s version" % age in _refusal(url)


def test_server_that_is_too_old_is_refused(postgres, monkeypatch):
    url = postgres.database()
    monkeypatch.setattr(postgres_schema, "MIN_SERVER", 990000)
    before = _tables(postgres, url)
    assert "PostgreSQL 99 or newer is needed" in _refusal(url)
    assert _tables(postgres, url) == before


def test_user_without_rights_is_refused(postgres):
    url = postgres.database()
    name = url.rpartition("/test")[2].partition("?")[0]
    theirs = postgres.address("test" + name.lstrip("/"), "stranger")
    postgres.execute("DROP ROLE IF EXISTS stranger")
    postgres.execute("CREATE ROLE stranger LOGIN")
    postgres.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", url)
    assert "the user stranger may not make tables in schema public" in _refusal(theirs)
    PostgresDatabase(url).close()
    assert "may not read and change all tables" in _refusal(theirs)
    readonly = url + "&options=-cdefault_transaction_read_only%3Don"
    assert "can only be read" in _refusal(readonly)


def test_encoding_must_be_utf8(postgres):
    postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    assert "the encoding of database latin is LATIN1" in _refusal(postgres.address("latin"))


# The password --------------------------------------------------------------------------------


def _serve(root, *arguments, **environ):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "modelarts",
            "serve",
            "--root",
            str(root),
            *arguments,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=120,
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:%s@host/db" % PASSWORD,
        "postgresql://me@host/db?pass%%77ord=%s" % PASSWORD,
        "host=h password=%s" % PASSWORD,
    ],
)
def test_password_in_an_argument_is_refused(url, capsys):
    from modelarts.cli import main

    with pytest.raises(SystemExit):
        main(["serve", "--database", url])
    error = capsys.readouterr().err
    assert PASSWORD not in error
    assert "--database" in error


def test_password_is_in_no_error_log_and_repr(postgres, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    url = "postgresql://postgres:%s@/%s?host=%s"
    for bad in (
        url % (PASSWORD, "nowhere", postgres.folder),
        "postgresql://u:%s/x@h:port/db" % PASSWORD,
        "postgresql://u:%s@h/db?nonsense=1" % PASSWORD,
    ):
        assert PASSWORD not in _refusal(bad)
    name = postgres.database().rpartition("/test")[2].partition("?")[0]
    database = PostgresDatabase(url % (PASSWORD, "test" + name, postgres.folder))
    with database.transaction() as db:
        shown = "%r %s %r %r" % (database, database.name, db, db.connection)
    database.close()
    done = _serve(tmp_path, "--database", postgres.address("nowhere"), PGPASSWORD=PASSWORD)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert PASSWORD not in shown + caplog.text + done.stderr + done.stdout


# A database that goes away -------------------------------------------------------------------


def test_database_that_is_away_is_a_refusal_until_it_is_back(postgres):
    database = PostgresDatabase(postgres.database())
    store = Store(database)
    job = _add(store)
    postgres.stop()
    try:
        for call in (lambda: store.get(job.job_id), lambda: _add(store)):
            with pytest.raises(
                DatabaseUnavailable, match=r"Nothing was changed; try again"
            ) as caught:
                call()
            assert caught.value.status == 503
            assert caught.value.response("id").headers["Retry-After"] == "1"
    finally:
        postgres.start()
    assert _get_within(store, job.job_id, 10) == job
    assert _add(store).job_id > job.job_id
    store.close()


def _get_within(store, job_id, seconds):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return store.get(job_id)
        except DatabaseUnavailable:
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)


def test_connection_that_ends_meanwhile_is_replaced(postgres):
    url = postgres.database()
    store = Store(PostgresDatabase(url))
    job = _add(store)
    end = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    postgres.execute(end, url)
    store.describe(job, "changed")  # a change: it was not sent before
    with store.transaction() as db:
        postgres.execute(end, url)
        assert db.execute("SELECT job_desc FROM jobs").fetchone()[0] == "changed"
        postgres.execute(end, url)
        with pytest.raises(DatabaseUnavailable, match="not known whether") as caught:
            db.execute("UPDATE jobs SET job_desc = ?", ("lost",))
        assert caught.value.is_in_doubt

    def change():
        with store.alone():
            postgres.execute(end, url)
            store.describe(job, "lost too")

    with pytest.raises(DatabaseUnavailable, match="Nothing was changed"):
        change()
    assert store.get(job.job_id).job_desc == "changed"
    store.close()


def test_silent_database_is_a_refusal_until_it_answers(postgres):
    """A server that is stopped ends no statement by itself, and no connection."""
    store = Store(PostgresDatabase(postgres.database() + "&connect_timeout=2", patience=0.3))
    job = _add(store)
    with store.transaction() as db, postgres.silent():
        with pytest.raises(DatabaseUnavailable, match="not known whether"):
            db.execute("UPDATE jobs SET job_desc = ?", ("lost",))
        with pytest.raises(DatabaseUnavailable, match="Nothing was changed"):
            db.execute("SELECT job_desc FROM jobs")
    assert _get_within(store, job.job_id, 10).job_id == job.job_id
    assert _add(store).job_id > job.job_id
    store.close()


# What front ends have in common --------------------------------------------------------------


@pytest.fixture
def pair(postgres):
    """Two connections to one database, as of two front ends."""
    url = postgres.database()
    databases = PostgresDatabase(url), PostgresDatabase(url)
    yield databases
    for database in databases:
        database.close()


def test_copy_of_a_database_has_another_place(postgres):
    """Also one that PostgreSQL copies as it is, for a user who may do little; not a new look."""
    url = postgres.database()
    name = re.search(r"/(\w+)\?", url).group(1)
    places = []
    for address in (url, url, postgres.address(name, "plain")):
        database = PostgresDatabase(address)
        places.append(database.place())
        database.close()
        if not places[1:]:
            postgres.execute("CREATE DATABASE copied TEMPLATE %s" % name)
            postgres.execute("CREATE USER plain")
            postgres.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain", url)
    database = PostgresDatabase(postgres.address("copied"))
    assert places == [places[0]] * 3
    assert database.place() != places[0]
    database.close()


def test_sessions_hold_across_front_ends(pair, tmp_path):
    now = [1_000_000]
    here, there = (SharedSessions(database, lambda: now[0]) for database in pair)
    accounts = Accounts(prepare(tmp_path))
    users = accounts.users()
    user = users.by_name[OWNER]
    cookie, session = here.begin(user)
    assert there.find(cookie, users) == (user, session)
    key = here.make_link(user)
    assert there.find(key, users) is None
    assert (there.use_link(key, users), here.use_link(key, users)) == (user, None)
    others = users.with_password(OWNER, "another-one")
    assert there.find(cookie, others) is None
    with pair[0].transaction() as db:
        rows = db.execute("SELECT * FROM browser_sessions").fetchall()
        kept = json.dumps([list(row) for row in rows])
    assert (cookie in kept, session.token in kept) == (False, False)
    now[0] += 12 * 3600 * 1000
    assert there.find(cookie, users) is None
    cookie, _ = here.begin(user)
    there.end(cookie)
    assert here.find(cookie, users) is None


def test_replays_and_wrong_passwords_count_across_front_ends(pair):
    here, there = (SharedReplays(database, 1800, grace_seconds=0.2) for database in pair)
    assert here.is_replay("user", "signature") is False
    assert there.is_replay("other", "signature") is False
    threading.Event().wait(0.3)
    assert there.is_replay("user", "signature") is True
    assert there.is_replay("user", "another") is False
    now = [1_000_000]
    first, second = (SharedRate(database, 0.1, 3, lambda: now[0]) for database in pair)
    assert [first.take("a"), second.take("a"), first.take("a")] == [0.0, 0.0, 0.0]
    assert second.take("a") == pytest.approx(10)
    now[0] += 10_000
    assert first.take("a") == 0.0
    assert second.take("a") > 9
    second.give_back("a")
    assert first.take("a") == 0.0
