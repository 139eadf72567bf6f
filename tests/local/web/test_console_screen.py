"""The console on the screen of a real browser."""

import os
import re
import shutil
import signal
from contextlib import suppress

import pytest
from tensorboardX import SummaryWriter

from modelarts.cli import main
from modelarts.errors import NotFound
from modelarts.estimator import VisualizationJob
from tests.servers.service import PASSWORD, Service
from tests.support.browser import chromium
from tests.support.clocks import wait_until
from tests.support.console import link_of

pytestmark = pytest.mark.local

#: Milliseconds that something may take to appear, such as a board that starts.
LONG = 60_000
#: The rules of WCAG 2.0, 2.1 and 2.2 at the levels A and AA.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
TRAINING = """
import os, sys, time
print("first line", flush=True)
while not os.path.exists(sys.argv[1].partition("=")[2]):
    time.sleep(0.05)
print("<b>last</b> line", flush=True)
"""
#: Has pages look again as if their tab came into sight, so that tests need not wait for that.
HURRY = """
if (location.pathname.startsWith("/console/")) {
  setInterval(() => document.dispatchEvent(new Event("visibilitychange")), 300);
}
"""
ACTIVE = "(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim()"


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def mounted(tmp_path_factory):
    """A service with event files in the mount runs."""
    folder = tmp_path_factory.mktemp("screen")
    with SummaryWriter(str(folder / "runs" / "night" / "train")) as writer:
        for step in range(10):
            writer.add_scalar("loss", 1 / (step + 1), step)
    service = Service(folder / "root", "--mount", "runs=%s" % (folder / "runs"))
    yield service
    assert service.end() == 0


def _show_nothing(route):
    route.fulfill(content_type="text/html", body="<title>a board</title>")


@pytest.fixture
def open_page(browser, mounted):
    """Makes pages of browsers with new profiles, which report no error to their consoles."""
    contexts, problems = [], []

    def make(width=1280, link=True, hurry=True, shows_boards=True, **settings):
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, **settings)
        context.set_default_timeout(LONG)
        contexts.append(context)
        if not shows_boards:  # a page of TensorBoard takes seconds of processor time
            context.route("**/modelarts/tensorboard/**", _show_nothing)
        if hurry:
            context.add_init_script(HURRY)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        if link:
            page.goto(link_of(mounted))
            page.wait_for_url("**/jobs")
        return page

    yield make
    for context in contexts:
        context.close()
    # The last is of the page that is not there.
    known = ("favicon", "status of 404")
    assert [text for text in problems if not any(word in text for word in known)] == []


def button(page, verb, name):
    """Return the button or link that does something with a job."""
    return page.locator("[aria-label^='%s'][aria-label$=', %s']" % (verb, name)).first


def wait_for_status(page, status):
    page.locator("#state .badge", has_text=status).wait_for()


def fits(page):
    """Return whether nothing reaches beyond the edge of the window."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_open_command_leads_the_browser_in(open_page, mounted, monkeypatch):
    """By way of a file, from which the browser takes the console for another site."""
    monkeypatch.setenv("BROWSER", shutil.which("true"))
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["open", "--root", str(mounted.root)]) == 0
    page = open_page(link=False)
    page.goto((mounted.root / "open-console.html").as_uri())
    page.wait_for_url("**/jobs")
    page.get_by_role("heading", name="Jobs").wait_for()


@pytest.mark.parametrize("width", [1280, pytest.param(390, marks=pytest.mark.extended)])
def test_job_from_sign_in_to_deletion(open_page, width):
    """Create over a mount, see it run, open the board, stop, restart and delete."""
    page = open_page(width)
    name = "screen-%d" % width
    assert fits(page)
    page.get_by_role("link", name="New job").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("link", name="runs/").click()
    assert page.locator("li", has_text="night/").locator(".badge").inner_text() == "1 event file"
    page.get_by_role("link", name="night/").click()
    assert page.get_by_label("Folder", exact=True).input_value() == "/runs/night/"
    # What was typed before the folder was chosen is kept.
    assert page.get_by_label("Name", exact=True).input_value() == name
    assert fits(page)
    page.get_by_role("button", name="Create").click()
    # By itself: the page is not loaded again by hand.
    wait_for_status(page, "RUNNING")
    if width == 1280:
        page.frame_locator("iframe").get_by_text("loss").first.wait_for()
    page.locator("#facts", has_text="10 points").wait_for()
    assert "1: train" in page.locator("#facts").inner_text()
    assert fits(page)
    with page.context.expect_page() as opened:
        button(page, "Open", name).click()
    opened.value.wait_for_function("document.title === 'TensorBoard'")
    assert opened.value.evaluate("window.opener") is None
    opened.value.close()
    button(page, "Stop", name).click()
    wait_for_status(page, "KILLED")
    page.locator("iframe").wait_for(state="detached")
    button(page, "Restart", name).click()
    wait_for_status(page, "RUNNING")
    page.get_by_role("link", name="All jobs").click()
    page.get_by_role("row", name=re.compile(name)).get_by_text("RUNNING").wait_for()
    button(page, "Delete", name).click()
    page.get_by_role("button", name="Delete the job").click()
    page.get_by_text("It was deleted.").wait_for()
    assert page.get_by_text(name).count() == 0


@pytest.mark.extended
def test_shared_board_opens_for_a_stranger(browser, tmp_path):
    """In a new profile, until the link is revoked; another one ends by its time."""
    with SummaryWriter(str(tmp_path / "runs" / "train")) as writer:
        writer.add_scalar("loss", 0.5, 1)
    mount = "runs=%s" % (tmp_path / "runs")
    service = Service(tmp_path / "root", "--mount", mount, "--test-clock")
    owner, stranger = browser.new_context(), browser.new_context()
    with service.session() as session:
        job = VisualizationJob.create("/runs/", session=session).wait()
        page = owner.new_page()
        page.goto(link_of(service))
        page.wait_for_url("**/jobs")
        links = []
        for hours in ("24", "2"):
            page.get_by_role("link", name=job.job_name, exact=True).click()
            page.get_by_label("For hours").fill(hours)
            page.get_by_role("button", name="Make a link").click()
            link = page.locator("a[href$='/shared/']")
            links.append(link.evaluate("element => element.href"))
            page.goto(service.connection["modelarts_endpoint"] + "/console/")
        visitor = stranger.new_page()
        visitor.goto(links[1])
        visitor.get_by_text("loss").first.wait_for(timeout=LONG)
        session.request("PUT", "/local/clock", body={"advance_seconds": 2 * 3600 + 1})
        visitor.reload()
        visitor.get_by_text("This link has ended").wait_for()
        visitor.goto(links[0])
        visitor.get_by_text("loss").first.wait_for(timeout=LONG)
        page.get_by_role("link", name=job.job_name, exact=True).click()
        page.get_by_role("button", name="Revoke").click()
        page.get_by_role("button", name="Revoke").wait_for(state="detached")
        visitor.reload()
        visitor.get_by_text("This link has ended").wait_for()
    owner.close()
    stranger.close()
    assert service.end() == 0


def tab_to(page, name):
    """Press the tabulator until the element of that name has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(ACTIVE).startswith(name):
            return
    raise AssertionError("the tabulator does not lead to " + name)


def test_keyboard_alone_is_enough(open_page, mounted):
    page = open_page(link=False, shows_boards=False)
    page.goto(mounted.connection["modelarts_endpoint"] + "/")
    page.get_by_role("heading", name="Sign in").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate(ACTIVE) == "Skip to the content"
    while page.evaluate("document.activeElement.id") != "name":
        page.keyboard.press("Tab")
    page.keyboard.type("local")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs")
    tab_to(page, "New job")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="New job").wait_for()
    while page.evaluate("document.activeElement.id") != "folder":
        page.keyboard.press("Tab")
    page.keyboard.type("/runs/night/")
    page.keyboard.press("Tab")
    page.keyboard.type("by-keyboard")
    page.keyboard.press("Enter")
    wait_for_status(page, "RUNNING")
    tab_to(page, "Stop job")
    page.keyboard.press("Enter")
    wait_for_status(page, "KILLED")
    tab_to(page, "Delete job")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Delete job").wait_for()
    tab_to(page, "Delete the job")
    page.keyboard.press("Enter")
    page.get_by_text("It was deleted.").wait_for()


def test_focus_stays_while_a_list_is_renewed(open_page, mounted):
    """A button keeps the focus when the status changes, also to one in which there is none."""
    page = open_page()
    with mounted.session() as session:
        path = "/v1/%s/visualization-jobs" % session.project_id
        body = {"job_name": "focus", "train_url": "/runs/night/"}
        number = session.request("POST", path, body=body)["job_id"]
        page.reload()
        row = page.locator("#j%d" % number)
        row.get_by_text("RUNNING").wait_for()
        button(page, "Delete", "focus").focus()
        # While the boards' parent is held, the stop lasts.
        pid = int(mounted.said(r"job %d: running, process (\d+)" % number).group(1))
        with open("/proc/%d/stat" % pid) as file:
            parent = int(file.read().rsplit(")", 1)[1].split()[1])
        os.kill(parent, signal.SIGSTOP)
        try:
            session.request("POST", "%s/%d/stop" % (path, number))
            row.get_by_text("KILLING").wait_for()
        finally:
            os.kill(parent, signal.SIGCONT)
        row.get_by_text("KILLED").wait_for()
        row.get_by_role("button", name="Restart").wait_for()
        assert page.evaluate(ACTIVE).startswith("Delete job")
        assert "KILLED" in page.locator("#news").text_content()
        session.request("DELETE", "%s/%d" % (path, number))
        row.wait_for(state="detached")


@pytest.mark.extended
def test_lists_and_actions_work_without_javascript(open_page, mounted):
    page = open_page(link=False, shows_boards=False, java_script_enabled=False)
    page.goto(mounted.connection["modelarts_endpoint"] + "/")
    page.get_by_label("Name").fill("local")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/jobs")
    page.get_by_role("link", name="New job").click()
    page.get_by_label("Folder", exact=True).fill("/runs/night/")
    page.get_by_label("Name", exact=True).fill("no-script")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/jobs/*done=created")

    def has(status):
        page.goto(page.url.partition("?")[0])
        return status in page.locator("#state").inner_text()

    wait_until(lambda: has("RUNNING"))
    button(page, "Stop", "no-script").click()
    wait_until(lambda: has("KILLED"))
    button(page, "Restart", "no-script").click()
    wait_until(lambda: has("RUNNING"))
    page.goto(page.url.rpartition("/")[0] + "?status=running&search=no-script")
    assert page.get_by_role("row").count() == 2
    button(page, "Delete", "no-script").click()
    page.get_by_role("button", name="Delete the job").click()
    page.get_by_text("It was deleted.").wait_for()


@pytest.fixture
def training(mounted, tmp_path):
    """A training that writes its last line when a file is there; its id and the file."""
    code = mounted.root / "obs" / "bucket" / "code"
    code.mkdir(parents=True, exist_ok=True)
    (code / "train.py").write_text(TRAINING)
    folder = "obs://bucket/code/"
    parameters = [{"name": "file", "value": str(tmp_path / "go")}]
    algorithm = {"code_dir": folder, "boot_file": folder + "train.py", "parameters": parameters}
    body = {
        "kind": "job",
        "metadata": {"name": "on-screen", "description": "<i>it</i>"},
        "algorithm": algorithm,
        "spec": {"resource": {"node_count": 1}},
    }
    with mounted.session() as session:
        path = "/v2/%s/training-jobs" % session.project_id
        number = session.request("POST", path, body=body)["metadata"]["id"]
        yield number, tmp_path / "go"
        with suppress(NotFound):  # a test has deleted it
            session.request("DELETE", "%s/%s" % (path, number))


def test_log_of_a_training_is_followed(open_page, training):
    _, file = training
    page = open_page(390, hurry=False)
    page.get_by_role("link", name="Trainings").click()
    page.get_by_role("link", name="on-screen").click()
    log = page.locator("#log")
    log.get_by_text("first line").wait_for()
    wait_for_status(page, "Running")
    page.evaluate("window.mark = 'the same page'")
    file.touch()
    log.get_by_text("<b>last</b> line").wait_for()
    wait_for_status(page, "Completed")
    assert page.evaluate("window.mark") == "the same page"
    assert fits(page)


def test_a_training_is_stopped_and_deleted(open_page, training):
    page = open_page()
    page.get_by_role("link", name="Trainings").click()
    page.get_by_role("link", name="on-screen").click()
    wait_for_status(page, "Running")
    page.get_by_role("button", name="Stop training").click()
    wait_for_status(page, "Terminated")
    page.get_by_role("link", name="Delete training").click()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("heading", name="Training on-screen").wait_for()


def test_page_of_a_training_says_that_it_is_gone(open_page, training, mounted):
    """Something else deletes it while somebody looks."""
    page = open_page()
    page.get_by_role("link", name="Trainings").click()
    page.get_by_role("link", name="on-screen").click()
    wait_for_status(page, "Running")
    with mounted.session() as session:
        session.request("DELETE", "/v2/%s/training-jobs/%s" % (session.project_id, training[0]))
    page.get_by_text("does not exist").wait_for()


@pytest.fixture(scope="module")
def job(mounted):
    """A running job over the mount."""
    with mounted.session() as session:
        path = "/v1/%s/visualization-jobs" % session.project_id
        body = {"job_name": "hostile", "train_url": "/runs/night/"}
        number = session.request("POST", path, body=body)["job_id"]

        def details():
            return session.request("GET", "%s/%d" % (path, number))

        wait_until(lambda: details()["status"] == 8)
        return details()


def test_a_board_cannot_use_the_session(open_page, job):
    """A script in a board, in its frame or at the same origin, reads no page."""
    page = open_page()
    console = page.url.rpartition("/")[0]
    page.goto("%s/jobs/%d" % (console, job["job_id"]))
    wait_until(lambda: len(page.frames) > 1 and page.frames[1].title() == "TensorBoard")
    frame = page.frames[1]
    refused = "(() => { try { return %s } catch (error) { return error.name } })()"
    assert frame.evaluate(refused % "parent.document.title") == "SecurityError"
    assert frame.evaluate("document.cookie") == ""
    board = page.context.new_page()
    board.goto(job["service_url"] + "data/environment")
    read = "fetch('%s/jobs', {headers: %s}).then(answer => answer.status)"
    assert board.evaluate(read % (console, "{}")) == 403
    assert board.evaluate(read % (console, "{'X-Console-Token': 'x'}")) == 403
    assert board.evaluate("document.cookie") == ""
    forged = "fetch('%s/jobs/%d/stop', {method: 'POST'}).then(answer => answer.status)"
    assert board.evaluate(forged % (console, job["job_id"])) == 403
    with page.context.expect_page() as opened:
        board.evaluate("window.opened = window.open('%s/jobs')" % console + ", null")
    opened.value.get_by_role("heading", name="Jobs").wait_for()
    assert board.evaluate(refused % "window.opened.document.title") != "Jobs – ModelArts"
    assert board.evaluate("window.opened.closed")
    framed = "document.body.append(Object.assign(document.createElement('iframe'), {src: '%s'}))"
    board.evaluate(framed % (console + "/jobs") + ", null")
    wait_until(lambda: len(board.frames) > 1 and board.evaluate("frames.length") > 0)
    inside = refused % "frames[frames.length - 1].document.querySelectorAll('form').length"
    assert board.evaluate(inside) in (0, "SecurityError", "TypeError")


PAGES = ("jobs", "JOB", "jobs/new?folder=/runs/", "TRAINING", "users", "sign-in")
MORE_PAGES = ("JOB/delete", "trainings", "storage", "users/local", "about", "nowhere")
AXE = [
    ("light", 1280, PAGES),
    ("light", 1280, MORE_PAGES),
    ("dark", 1280, ("JOB", "TRAINING", "JOB/delete", "sign-in")),
    ("light", 390, ("jobs", "jobs/new", "storage")),
]


@pytest.mark.parametrize(
    ("scheme", "width", "paths"),
    [AXE[0], *(pytest.param(*each, marks=pytest.mark.extended) for each in AXE[1:])],
)
def test_axe_finds_no_barrier(open_page, job, training, scheme, width, paths):
    """No violation of WCAG at the levels A and AA on any page, and nothing beyond the edge."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    page = open_page(width, shows_boards=False, color_scheme=scheme)
    console = page.url.rpartition("/")[0]
    found = {}
    for path in paths:
        if path == "sign-in":
            page.get_by_role("button", name="Sign out").click()
            page.get_by_role("heading", name="Sign in").wait_for()
        else:
            path = path.replace("JOB", "jobs/%d" % job["job_id"])
            page.goto("%s/%s" % (console, path.replace("TRAINING", "trainings/" + training[0])))
        found[path] = violations(axe, page)
        assert fits(page), path
    assert {path: names for path, names in found.items() if names} == {}


def violations(axe, page):
    """Return the rules that the page breaks, with the elements; the board is TensorBoard's."""
    options = {"runOnly": {"type": "tag", "values": RULES}}
    results = axe.run(page, context={"exclude": [["iframe"]]}, options=options)
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in results.response["violations"]
    ]
