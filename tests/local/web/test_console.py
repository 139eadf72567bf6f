"""The console over HTTP: who gets in, who may do what, and what its pages hold."""

import json
import os
import pty
import re
import stat
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import urljoin

import psutil
import pytest
import requests

from modelarts.cli import main
from modelarts.estimator import VisualizationJob
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.identity.users_file import edit, prepare, read, users_file
from modelarts.local.jobs.store import Store
from modelarts.local.web.console.trainings import plot
from modelarts.models import JobStatus
from tests.servers.service import PASSWORD, SECRETS, Service
from tests.support.clocks import wait_until
from tests.support.console import Browser, link_of, loopback

pytestmark = pytest.mark.local

ANNS = "ann's own password"
HTML = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
#: What a form may ask for, with a job of the project in place of JOB.
POSTS = (
    "jobs/new",
    "jobs/JOB/stop",
    "jobs/JOB/restart",
    "jobs/JOB/describe",
    "jobs/JOB/extend",
    "jobs/JOB/delete",
    "jobs/JOB/shares",
    "jobs/JOB/shares/0123456789abcdef/revoke",
    "trainings/TRAINING/stop",
    "trainings/TRAINING/describe",
    "trainings/TRAINING/delete",
    "storage/delete",
    "users",
    "users/ann/password",
    "users/ann/remove",
)
GETS = (
    "jobs",
    "jobs/new",
    "jobs/JOB",
    "jobs/JOB/log",
    "jobs/JOB/delete",
    "trainings",
    "trainings/TRAINING",
    "trainings/TRAINING/log",
    "trainings/TRAINING/delete",
    "storage",
    "storage/delete",
    "users",
    "users/ann",
    "about",
)
NO_TRAINING = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A service with the users local and ann, whose clock can be moved."""
    folder = tmp_path_factory.mktemp("console")
    root = folder / "root"
    root.mkdir()

    def change(users):
        return users.with_user("ann").with_password("ann", ANNS).with_password("local", PASSWORD)

    edit(prepare(root), change)
    SECRETS.add(ANNS)
    with open(folder / "output", "w") as output:
        service = Service(root, "--test-clock", "--print-link", output=output)
    service.output = folder / "output"
    yield service
    assert service.end() == 0
    log = (root / "service.log").read_text()
    assert "internal error" not in log
    assert "Traceback" not in log


@pytest.fixture
def open_browser():
    """Makes browsers that are closed after the test."""
    made = []

    def make(service):
        made.append(Browser(service))
        return made[-1]

    yield make
    for browser in made:
        browser.close()


@pytest.fixture
def local(shared, open_browser):
    """The browser of the user local."""
    browser = open_browser(shared)
    browser.open(link_of(shared))
    return browser


@pytest.fixture
def ann(shared, open_browser):
    """The browser of the user ann."""
    browser = open_browser(shared)
    browser.sign_in("ann", ANNS)
    return browser


@pytest.fixture(scope="module")
def job(shared):
    """A running job in the project of the user local."""
    with shared.session() as session:
        job = VisualizationJob.create("/bucket/logs/", job_desc=HTML, session=session).wait()
    return job


def path_of(path, job):
    return path.replace("JOB", job.visualization_id).replace("TRAINING", NO_TRAINING)


# The way in -------------------------------------------------------------------------------


def test_browsers_are_led_to_the_console(shared):
    url = shared.connection["modelarts_endpoint"] + "/"
    with requests.Session() as plain:
        plain.trust_env = False
        headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        led = plain.get(url, headers=headers, allow_redirects=False)
        assert (led.status_code, led.headers["Location"]) == (303, "console/")
        versions = plain.get(url)
        assert versions.status_code == 300
        assert versions.json()["versions"]["values"][0]["id"] == "v3.6"
        page = plain.get(url, headers=headers)
        assert (page.url, page.status_code) == (url + "console/sign-in", 200)


def test_printed_link_signs_in_once(shared, open_browser):
    """The link of the start; neither it nor the cookie is in any file of the service."""
    (link,) = re.findall(r"http://\S+", shared.output.read_text())
    first, second = open_browser(shared), open_browser(shared)
    answer = first.session.get(link)
    cookie = answer.headers["Set-Cookie"]
    assert re.fullmatch(
        r"modelarts-[0-9a-f]{16}=[\w-]{43}; (Expires=[^;]+; )?Max-Age=43200; HttpOnly; "
        r"SameSite=Strict",
        cookie,
    )
    assert "<h1>Jobs</h1>" in first.get("").text
    assert second.session.get(link).status_code == 403
    assert second.session.cookies.get_dict() == {}
    secrets = (link.partition("key=")[2], first.session.cookies.get_dict().popitem()[1])
    for path in (path for path in shared.root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), path
    assert not any(secret in line for line in shared.log for secret in secrets)


def test_a_look_ahead_does_not_use_up_a_link(shared, open_browser):
    link, browser = link_of(shared), open_browser(shared)
    ahead = browser.session.get(link, headers={"Sec-Purpose": "prefetch;prerender"})
    assert (ahead.status_code, "Set-Cookie" in ahead.headers) == (403, False)
    assert "<h1>Jobs</h1>" in browser.open(link).text


def test_a_link_needs_keys_and_is_for_their_user(shared, open_browser):
    url = shared.connection["modelarts_endpoint"] + "/local/console-links"
    assert requests.post(url, proxies={"http": ""}).status_code == 401
    user = read(users_file(shared.root)).by_name["ann"]
    keys = {"access_key": user.key.access_key, "secret_key": user.key.secret_key}
    with shared.session(project_id=user.projects[0].project_id, **keys) as session:
        made = session.request("POST", "/local/console-links")
    browser = open_browser(shared)
    assert "<span>ann</span>" in browser.open(made["url"]).text


def test_links_and_sessions_end(shared, open_browser):
    """A link after ten minutes, a session after twelve hours."""
    browser, late = open_browser(shared), open_browser(shared)
    browser.open(link_of(shared))
    link = link_of(shared)
    with shared.session() as session:
        session.request("PUT", "/local/clock", body={"advance_seconds": 601})
        assert late.open(link).status_code == 403
        assert browser.page("jobs").url.endswith("/jobs")
        session.request("PUT", "/local/clock", body={"advance_seconds": 12 * 3600})
    assert "/sign-in?next=" in browser.page("jobs").url
    assert browser.page("jobs", X_Console_Token=browser.token).status_code == 401


def test_sign_out_ends_the_session(shared, local):
    cookies = local.session.cookies.copy()
    answer = local.session.post(local.console + "sign-out", data={"token": local.token})
    assert answer.url.endswith("/console/sign-in")
    assert local.session.cookies.get_dict() == {}
    local.session.cookies.update(cookies)
    assert "/sign-in" in local.page("jobs").url


def test_another_password_ends_sessions(shared, ann):
    assert ann.page("jobs").url.endswith("/jobs")
    edit(users_file(shared.root), lambda users: users.with_password("ann", "another one 2"))
    assert "/sign-in" in ann.page("jobs").url
    edit(users_file(shared.root), lambda users: users.with_password("ann", ANNS))
    assert "/sign-in" in ann.page("jobs").url


def test_wrong_passwords_are_throttled(shared, open_browser):
    """Wrong ones on the page and in the API count together; later one more is allowed."""
    browser = open_browser(shared)
    answers = []
    while not answers or answers[-1].status_code != 429:
        answers.append(browser.sign_in("mallory", "wrong password"))
        assert len(answers) < 40
    assert len(answers) > 10
    assert {answer.status_code for answer in answers[:-1]} == {401}
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert "Too many logins" in answers[-1].text
    user = {"name": "mallory", "password": "x", "domain": {"name": "local"}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    asked = []
    while not asked or asked[-1].status_code != 429:
        url = browser.address + "/v3/auth/tokens"
        asked.append(browser.session.post(url, data=json.dumps(body)))
        assert len(asked) < 10


def test_sign_in_leads_to_pages_of_the_console_only(shared, open_browser):
    browser = open_browser(shared)
    for follow, target in (("", "./"), ("//evil.example", "./"), ("a/jobs", "./a/jobs")):
        form = {"name": "ann", "password": ANNS, "next": follow}
        page = browser.session.post(browser.console + "sign-in", data=form).text
        assert re.findall(r'url=([^"]*)"', page) == [target]


# Forgery ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", POSTS)
def test_forged_forms_change_nothing(shared, local, job, path):
    before = stored(shared), users_file(shared.root).read_bytes()
    path = path_of(path, job)
    foreign = {"Origin": "https://evil.example"}
    cross = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for headers, form in (
        ({}, {"token": ""}),
        ({}, {"token": "x" * 43}),
        (foreign, {}),
        ({"Origin": "null"}, {}),
        (cross, {}),
    ):
        assert local.post(path, headers, **form).status_code == 403
    stranger = requests.post(local.console + local.project + "/" + path, data={}, proxies={})
    assert stranger.status_code == 401
    assert (stored(shared), users_file(shared.root).read_bytes()) == before


def stored(service):
    """Return the rows of the job table."""
    with service.session() as session:
        return [job.raw["status"] for job in VisualizationJob.list(session)]


@pytest.mark.parametrize("path", GETS)
def test_pages_are_shown_in_windows_only(local, job, path):
    """A script of a board, which may be of the same origin, reads no page, nor in a frame."""
    path = path_of(path, job)
    for dest, mode in (("empty", "cors"), ("iframe", "navigate"), ("script", "no-cors")):
        headers = {"Sec_Fetch_Dest": dest, "Sec_Fetch_Mode": mode, "Sec_Fetch_Site": "same-origin"}
        answer = local.page(path, **headers)
        assert answer.status_code == 403
        assert local.token not in answer.text.partition("</header>")[2]
        assert local.page(path, X_Console_Token="x" * 43, **headers).status_code == 403


def test_every_page_has_strict_headers(local, ann, job):
    pages = [local.page(path_of(path, job)) for path in GETS]
    pages += [ann.page("nowhere"), ann.get("sign-in"), ann.page("users")]
    for page in pages:
        headers = page.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src 'self'" not in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Opener-Policy"] == "noopener-allow-popups"
        if headers["Content-Type"].startswith("text/html"):
            assert inline_code(page.text) == []


def inline_code(text):
    """Return scripts without a source and a nonce, and attributes with code or style."""
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, pairs):
            names = dict(pairs)
            if tag == "style" or (tag == "script" and not {"src", "nonce"} <= set(names)):
                found.append(tag)
            found.extend(name for name in names if name == "style" or name.startswith("on"))

    Parser().feed(text)
    return found


def test_links_on_pages_are_relative(local, job):
    """So they work below any prefix that a proxy has put before them."""
    for path in GETS:
        text = local.page(path_of(path, job)).text
        links = re.findall(r'\s(?:href|src|action|data-log)="([^"]*)"', text)
        frames = re.findall(r'<iframe src="([^"]*)"', text)
        absolute = [link for link in links if re.match(r"/|\w+:", link)]
        assert absolute == frames


def test_page_of_a_job_names_those_who_look(shared, local, job):
    """By browser and address; those of a link by nothing else, and nobody after a while."""
    address = loopback(job.service_url, shared.connection["modelarts_endpoint"])
    share = job.share(hours=1)
    link = loopback(share.url, shared.connection["modelarts_endpoint"])
    agents = {address: "X Firefox/140.0", link: "X Chrome/140.0 Safari/537.36"}
    with requests.Session() as plain:
        plain.trust_env = False
        for url, agent in agents.items():
            assert plain.get(url, headers={"User-Agent": agent}).status_code == 200
    page = local.page("jobs/" + job.visualization_id).text
    looking = "<dt>Looking now</dt><dd>%s</dd>"
    assert looking % "Chrome at a link, Firefox at 127.0.0.1" in page
    assert "now (2)" in local.page("jobs").text
    with shared.session() as session:
        session.request("PUT", "/local/clock", body={"advance_seconds": 70})
    assert looking % "nobody" in local.page("jobs/" + job.visualization_id).text
    job.unshare(share)


def test_page_about_the_service_says_how_it_is(shared, local, job):
    text = local.page("about").text
    assert re.search(r"<dt>Job table</dt><dd>it answers; [1-9]\d* of \d+ active jobs", text)
    assert re.search(r"<dt>Disk</dt><dd>[\d.]+ [GT]iB free</dd>", text)


# Other people's ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", GETS)
def test_pages_of_other_projects_are_refused(local, ann, job, path):
    path = path_of(path, job)
    ann_project, ann.project = ann.project, local.project
    answer = ann.page(path)
    assert answer.status_code == 403
    assert job.job_name not in answer.text
    ann.project = ann_project
    if ("jobs/" in path and "new" not in path) or "trainings/" in path:
        answer = ann.page(path)
        assert answer.status_code == 404
        assert job.job_name not in answer.text
    elif path.startswith("users") or path == "storage/delete":
        assert ann.page(path).status_code == 403


@pytest.mark.parametrize("path", POSTS)
def test_forms_of_other_projects_are_refused(shared, local, ann, job, path):
    before = stored(shared), users_file(shared.root).read_bytes()
    form = {"password": "another password", "name": "eve", "hours": "1", "folder": "/bucket/logs/"}
    path, ann_project = path_of(path, job), ann.project
    ann.project = local.project
    assert ann.post(path, **form).status_code == 403
    ann.project = ann_project
    assert ann.post(path, **form).status_code in (400, 403, 404)
    assert (stored(shared), users_file(shared.root).read_bytes()) == before


def test_empty_list_names_projects_with_jobs(shared, ann, open_browser):
    """A member of a team begins in a project of their own, which has no jobs at first."""

    def add(users):
        return users.with_user("bea", ("team-b",)).with_password("bea", ANNS)

    users = edit(shared.root / "users.json", add)
    bea = users.by_name["bea"]
    (team,) = [each for each in bea.projects if each.name.endswith("_team-b")]
    SECRETS.add(bea.key.secret_key)
    keys = {"access_key": bea.key.access_key, "secret_key": bea.key.secret_key}
    browser = open_browser(shared)
    page = browser.sign_in("bea", ANNS)
    assert "There are no jobs in this project." in page.text
    assert "has 1 job" not in page.text
    with shared.session(project_id=team.project_id, **keys) as session:
        made = VisualizationJob.create("/team-b/", session=session, check=False)
        page = browser.page("jobs")
        (link,) = re.findall(r'<a href="([^"]*)">local-1_team-b</a> has 1 job\.', page.text)
        assert made.job_name in browser.session.get(urljoin(page.url, link)).text
        assert "team-b" not in browser.page("jobs?search=x").text.partition("<main")[2]
        assert "has 1 job" not in ann.page("jobs").text
        made.delete()
    edit(shared.root / "users.json", lambda users: users.without_user("bea"))


def test_foreign_buckets_are_not_shown(shared, local, ann):
    (shared.root / "obs" / "bucket" / "secret-run").mkdir(parents=True, exist_ok=True)
    assert "secret-run" in local.page("jobs/new?folder=/bucket/").text
    assert "bucket/" not in ann.page("jobs/new").text.partition("Buckets and mounts")[2]
    answer = ann.page("jobs/new?folder=/bucket/")
    assert "secret-run" not in answer.text
    assert "belongs to another project" in answer.text
    assert (
        "belongs to another project"
        in ann.post("jobs/new", folder="/bucket/logs/", name="taken").text
    )


# HTML -------------------------------------------------------------------------------------


def test_html_in_fields_is_shown_as_text(shared, local, job):
    """In every field that a user can write, and in names of folders and logs."""
    (shared.root / "obs" / "bucket" / "<img src=x onerror=alert(2)>").mkdir(parents=True)
    log = shared.root / "logs" / ("job-%s.log" % job.visualization_id)
    with open(log, "a") as file:
        file.write(HTML + "\n")
    pages = [
        local.page(path_of("jobs/JOB", job)),
        local.page("jobs?search=" + HTML),
        local.page("jobs?status=%s&sort=%s" % (HTML, HTML)),
        local.page("jobs/new?folder=/bucket/"),
        local.page("jobs/new?folder=/bucket/%3Cimg src=x onerror=alert(2)%3E/"),
        local.page("trainings?search=" + HTML),
        local.page("storage"),
        local.post("jobs/new", folder=HTML, name=HTML, desc=HTML, type=HTML, hours=HTML),
        local.post("users", name=HTML, password="long enough", projects=HTML),
        local.page("nowhere/" + HTML.replace("/", "")),
        local.session.post(local.console + "sign-in", data={"name": HTML, "password": "x"}),
    ]
    for page in pages:
        assert "<script>" not in page.text, page.url
        assert "<img" not in page.text, page.url
    assert "&lt;script&gt;" in pages[0].text
    assert "&lt;img src=x onerror=alert(2)&gt;" in pages[3].text


# Operations -------------------------------------------------------------------------------


def test_a_job_lives_in_the_console(shared, local):
    (shared.root / "obs" / "bucket" / "logs").mkdir(parents=True, exist_ok=True)
    made = local.post("jobs/new", folder="/bucket/logs/", name="mine", desc="a", hours="2")
    assert made.url.endswith("?done=created")
    number = re.search(r"/jobs/(\d+)", made.url).group(1)
    with shared.session() as session:
        job = VisualizationJob.get(number, session).wait()
        assert (job.job_name, job.raw["schedule"][0]["duration"]) == ("mine", 2)
        left = job.refresh().raw["remaining_duration"]
        assert "The job stops later now" in local.post("jobs/%s/extend" % number, hours="3").text
        assert job.refresh().raw["remaining_duration"] > left + 2.9 * 3_600_000
        local.post("jobs/%s/describe" % number, desc="another")
        assert job.refresh().job_desc == "another"
        assert "RUNNING" in local.page("jobs/" + number).text
        assert local.post("jobs/%s/stop" % number, **{"from": "list"}).url.endswith(
            "jobs?done=stopping"
        )
        wait_until(lambda: job.refresh().status == JobStatus.KILLED)
        local.post("jobs/%s/restart" % number)
        job.wait()
        question = local.page("jobs/%s/delete" % number).text
        assert "Delete the job" in question
        assert local.post("jobs/%s/delete" % number).url.endswith("jobs?done=deleted")
        assert local.page("jobs/" + number).status_code == 404


def test_a_board_is_shared_and_no_longer(local, job):
    """The link is on one page only, and opens the board until it is revoked."""
    page = local.post(path_of("jobs/JOB/shares", job), hours="2")
    (link,) = re.findall(r'href="(?:\.\./)+(modelarts/tensorboard/[^"]+/shared/)"', page.text)
    with requests.Session() as stranger:
        stranger.trust_env = False
        assert "TensorBoard" in stranger.get("%s/%s" % (local.address, link)).text
        shown = local.page(path_of("jobs/JOB", job)).text
        assert link.split("/")[2] not in shown
        (share_id,) = re.findall(r"Link ([0-9a-f]{16}), until", shown)
        local.post(path_of("jobs/JOB/shares/%s/revoke" % share_id, job))
        assert stranger.get("%s/%s" % (local.address, link)).status_code == 404
    assert "Link " + share_id not in local.page(path_of("jobs/JOB", job)).text
    refused = local.post(path_of("jobs/JOB/shares", job), hours="100000")
    assert (refused.status_code, "--max-share-hours" in refused.text) == (400, True)


def test_refusals_are_those_of_the_api(shared, local, job):
    with shared.session() as session:
        path = "/v1/%s/visualization-jobs" % session.project_id
        cases = (
            ("POST", "/%s/restart" % job.visualization_id, None, "jobs/JOB/restart", {}),
            (
                "POST",
                "",
                {"job_name": "no good name", "train_url": "/bucket/"},
                "jobs/new",
                {"name": "no good name", "folder": "/bucket/"},
            ),
            (
                "POST",
                "",
                {"job_name": "good", "train_url": "bucket"},
                "jobs/new",
                {"name": "good", "folder": "bucket"},
            ),
        )
        for method, rest, body, form_path, form in cases:
            with pytest.raises(Exception) as refusal:  # noqa: PT011 - of several kinds
                session.request(method, path + rest, body=body)
            page = local.post(path_of(form_path, job), **form)
            assert page.status_code == refusal.value.status_code
            assert refusal.value.error_msg.replace("'", "&#39;") in page.text


def test_list_is_filtered_sorted_and_live(shared, local, job):
    assert job.job_name in local.page("jobs?status=running").text
    assert job.job_name not in local.page("jobs?status=failed").text
    assert job.job_name not in local.page("jobs?search=nothing-like-it").text
    assert local.page("jobs?page=x").status_code == 400
    whole = local.page("jobs")
    part = local.page("jobs", X_Console_Token=local.token)
    assert "<table" in part.text
    assert "<header" not in part.text
    same = local.page("jobs", X_Console_Token=local.token, If_None_Match=whole.headers["ETag"])
    assert (same.status_code, same.content) == (304, b"")


def test_log_is_sent_from_where_it_was_read(shared, local, job):
    log = shared.root / "logs" / ("job-%s.log" % job.visualization_id)
    path = path_of("jobs/JOB/log", job)
    log.write_bytes("first line\nzwölf".encode())
    answer = local.page(path, X_Console_Token=local.token)
    assert answer.text == "first line\nzwölf"
    position = answer.headers["X-Log-Position"]
    with open(log, "ab") as file:
        file.write("\nnext – ".encode()[:-1] + b"\xe2\x80")
    more = local.page("%s?from=%s" % (path, position), X_Console_Token=local.token)
    assert (more.text, "X-Log-Anew" in more.headers) == ("\nnext –", False)
    log.write_bytes(b"anew\n")
    answer = local.page("%s?from=%s" % (path, position), X_Console_Token=local.token)
    assert (answer.text, answer.headers["X-Log-Anew"]) == ("anew\n", "1")


def test_logs_of_gone_jobs_are_deleted_when_asked(shared, local, job):
    gone = shared.root / "logs" / "job-987654.log"
    kept = shared.root / "logs" / ("job-%s.log" % job.visualization_id)
    gone.write_text("old")
    kept.write_text("new")
    assert "job-987654.log" in local.page("storage").text
    assert "Delete 1 log of jobs that are gone" in local.page("storage/delete").text
    assert gone.exists()
    local.post("storage/delete")
    assert (gone.exists(), kept.exists()) == (False, True)


def test_users_are_added_changed_and_removed(shared, local, open_browser):
    local.post("users", name="bob", password="bob's first password", projects="team-a, team-b")
    bob = open_browser(shared)
    assert "<span>bob</span>" in bob.sign_in("bob", "bob's first password").text
    assert "local-1_team-b" in bob.page("jobs").text
    local.post("users/bob/password", password="bob's second password")
    assert "/sign-in" in bob.page("jobs").url
    assert bob.sign_in("bob", "bob's second password").ok
    assert "too short" not in local.post("users/bob/password", password="short").text
    local.post("users/bob/remove")
    assert "/sign-in" in bob.page("jobs").url
    assert local.post("users/local/remove").status_code == 400
    assert set(read(users_file(shared.root)).by_name) == {"local", "ann"}


def test_templates_are_loaded_when_they_are_asked_for():
    """A service whose console is not opened starts as fast as before, and takes no more memory."""
    program = "import sys, modelarts.local.server.main; print('jinja2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_plot_of_metrics_has_gaps_and_a_scale():
    drawn = plot("Memory", [1.0, 2.0, -1, 4.0])
    assert drawn.lines == ("0.0,48.0 0.0,48.0 98.0,36.0 100.0,36.0", "298.0,12.0 300.0,12.0")
    assert (drawn.last, drawn.highest, drawn.top, drawn.minutes) == (4.0, 4.0, 5, 4)
    assert plot("Memory", [-1, -1]) is None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_odd_requests_are_refused_and_no_errors(local, method):
    project = local.project
    for path in (
        "",
        "static/x/console.js",
        "static/../site.py",
        "sign-in?key=%ff%00&next=%ff",
        "%ff%fe",
        "0" * 32 + "/jobs",
        project + "/jobs/99999999999999999999999999999999",
        project + "/jobs/-1",
        project + "/jobs?page=99999999999&search=" + "x" * 5000,
        project + "/jobs?status=%ff&sort[]=1&order=%00",
        project + "/jobs/new?folder=/bucket/" + "a" * 300 + "/",
        project + "/jobs/new?folder=/bucket/../../etc/",
        project + "/jobs/new?folder=//etc/passwd",
        project + "/trainings/..%2f..%2f",
        project + "/trainings?page=-1",
        project + "/users/%2e%2e",
        project + "/storage?x=" + "y" * 9000,
    ):
        cookies = {"x": "\x7f", "modelarts-x": "a" * 3000}
        headers = {"If-None-Match": '"\xff"', "X-Console-Token": local.token}
        address, form = (
            local.console + path,
            {"token": local.token, "hours": "\ud7ff", "desc": "\0"},
        )
        answer = local.session.request(method, address, data=form, headers=headers, cookies=cookies)
        assert answer.status_code < 500, (method, path, answer.text)
        assert "passwd" not in answer.text.replace("//etc/passwd", "")


# The command ------------------------------------------------------------------------------


def test_open_prints_a_link(shared, open_browser, capsys):
    assert main(["open", "--root", str(shared.root), "--print"]) == 0
    output = capsys.readouterr()
    assert "works once" in output.err
    assert "<h1>Jobs</h1>" in open_browser(shared).open(output.out.strip()).text


def test_open_gives_the_browser_a_private_page(shared, open_browser, tmp_path):
    """The link is in no argument of the browser's process."""
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\nprintf "%%s" "$*" > %s.new\nmv %s.new %s\n' % (seen, seen, seen))
    browser.chmod(0o700)
    environ = {**os.environ, "BROWSER": str(browser), "DISPLAY": ":0"}
    command = [sys.executable, "-m", "modelarts", "open", "--root", str(shared.root)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    wait_until(seen.exists)
    address = seen.read_text()
    page = shared.root / "open-console.html"
    assert address == page.as_uri()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    (link,) = re.findall(r"url=([^\"]+)", page.read_text())
    assert "<h1>Jobs</h1>" in open_browser(shared).open(link).text


# Size -------------------------------------------------------------------------------------


def test_a_thousand_jobs_and_a_public_address(tmp_path, open_browser):
    """A page of them within 100 ms; behind a proxy with TLS the cookie is for TLS only."""
    root = tmp_path / "root"
    root.mkdir()
    project = edit(prepare(root), lambda users: users).by_name["local"].projects[0].project_id
    store = Store(SqliteDatabase(root / "jobs.sqlite"))
    for number in range(1000):
        status = JobStatus.RUNNING if number % 2 else JobStatus.KILLED
        store.add(
            10_000,
            project_id=project,
            workspace_id="0",
            create_time=1_780_000_000_000 + number,
            job_name="job-%d" % number,
            job_desc="lr=0.1",
            train_url="/bucket/run-%d/" % (number % 7),
            job_type="tensorboard",
            flavor=None,
            schedule_hours=None,
            status=int(status),
            asleep=1,
        )
    store.close()
    ours, terminal = pty.openpty()
    options = ("--public-url", "https://boards.test", "--max-running", "2000")
    service = Service(root, *options, output=terminal)
    os.close(terminal)
    try:
        browser = open_browser(service)
        # To a terminal the start prints a link by itself.
        with open(ours, encoding="utf-8") as output:
            url = output.readline().split()[1]
        assert url.startswith("https://boards.test/console/sign-in?key=")
        link = loopback(url, browser.address)
        answer = browser.session.get(link, headers={"Host": "boards.test"})
        assert "; Secure; HttpOnly; SameSite=Strict" in answer.headers["Set-Cookie"]
        browser.open(link_of(service))
        process = psutil.Process(service.process.pid)
        before = sum(process.cpu_times()[:2])
        for page in range(1, 11):
            text = browser.page("jobs?sort=name&page=%d" % page).text
            assert text.count('<tr role="row" id=') == 50
        # Of its processor: tests beside this one take longer by the clock.
        assert sum(process.cpu_times()[:2]) - before < 10 * 0.1
    finally:
        assert service.end() == 0
