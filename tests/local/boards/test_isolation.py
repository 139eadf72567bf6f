"""Boards and the browser: what a hostile one cannot read, in a real Chromium.

Hostile is what strangers log, and a plugin of TensorBoard that serves pages and scripts.
"""

import os
import shutil
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests
from tensorboardX import SummaryWriter

from modelarts.errors import InvalidArgument
from modelarts.estimator import VisualizationJob
from modelarts.local.web.hosts import Reach, board_host
from modelarts.visualization.display.board_url import board_address
from tests.local.boards.hostile_plugin import ATTACK
from tests.servers.service import Service
from tests.support.browser import chromium
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

SCRIPT = "<script>window.hostile = 'ran'</script>"
MARKUP = (
    SCRIPT,
    "<img src=x onerror=\"window.hostile = 'ran'\">",
    "[link](javascript:window.hostile='ran')",
    "<iframe srcdoc=\"<script>parent.hostile = 'ran'</script>\"></iframe>",
    "<a href='https://evil.example/'>out</a><form action='/v3'><input name=x></form>",
)
#: Pages of the plugin: without a policy, with TensorBoard's, and a picture.
PAGES = ("data/plugin/hostile/bare", "data/plugin/hostile/page", "data/plugin/hostile/svg")
#: What each dashboard consists of.
CARDS = {
    "timeseries": "scalar-card",
    "scalars": "tf-scalar-card",
    "text": "tf-text-loader",
    "hparams": "tf-hparams-main, hparams-main",
}
COOKIE = "session-of-the-visitor"


def with_plugin(folder):
    """Install the plugin in a folder; returns the PYTHONPATH with which it is there."""
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("hostile_plugin.py"), folder / "hostile_plugin.py")
    installed = folder / "hostile-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[tensorboard_plugins]\nhostile = hostile_plugin:Hostile\n"
    )
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


def write(root):
    """Write two folders of event files: one of a victim, one of an attacker."""
    with SummaryWriter(str(root / "obs" / "victim" / "train")) as writer:
        writer.add_scalar("secret", 0.5, 1)
    for name in ("train", "<img src=x onerror=window.hostile='ran'>"):
        with SummaryWriter(str(root / "obs" / "attacker" / name)) as writer:
            for number, text in enumerate(MARKUP):
                writer.add_text("text-%d" % number, text, 1)
            writer.add_scalar("loss" + SCRIPT, 0.5, 1)
            writer.add_hparams({"lr" + SCRIPT: 0.1}, {"metric" + SCRIPT: 1.0}, name="hparams")


class World:
    """A service with the plugin, the board of a victim, and that of an attacker."""

    def __init__(self, folder, *options):
        write(folder / "root")
        self.service = Service(folder / "root", *options)
        with self.service.session() as session:
            jobs = [
                VisualizationJob.create("/%s/" % name, job_name=name, session=session)
                for name in ("victim", "attacker")
            ]
            self.victim, self.attacker = (job.wait().service_url for job in jobs)
            self.share = jobs[1].share().url
        self.origin = self.service.connection["modelarts_endpoint"]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The plugin is installed for services that begin now; one process is forked for them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", with_plugin(tmp_path_factory.mktemp("installed") / "plugin"))
        yield


@pytest.fixture(scope="module")
def world(plugin, tmp_path_factory):
    world = World(tmp_path_factory.mktemp("isolation"))
    yield world
    assert world.service.end() == 0


@pytest.fixture(scope="module")
def hosts(plugin, tmp_path_factory):
    """A service whose boards have hosts of their own."""
    world = World(tmp_path_factory.mktemp("hosts"), "--board-host", "*.localhost")
    yield world
    assert world.service.end() == 0


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def context(browser, world, hosts):
    """The profile of a visitor who is signed in at both services: a cookie for all of the host."""
    context = browser.new_context()
    for each in (world, hosts):
        cookie = {"name": "signed-in", "value": COOKIE, "url": each.origin + "/", "httpOnly": True}
        context.add_cookies([cookie])
    yield context
    context.close()


def watched(context):
    """Return a new page that notes dialogs and what a policy refuses."""
    page = context.new_page()
    page.dialogs = []
    page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
    page.refused = []
    page.on("console", lambda line: _note_violation(page, line))
    return page


@pytest.fixture
def page(context):
    page = watched(context)
    yield page
    page.close()


@pytest.fixture
def bare_page(page):
    """A page in which boards are documents without their scripts.

    Those of TensorBoard's frontend take four seconds of processor time. They are not intercepted,
    since Playwright would answer the browser's questions about other origins itself.
    """
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.setBlockedURLs", {"urls": ["*/index.js?*"]})
    return page


@pytest.fixture(scope="module")
def frontend(context, world):
    """The attacker's board, as TensorBoard shows it."""
    page = watched(context)
    page.goto(world.attacker)
    yield page
    page.close()


def _note_violation(page, line):
    if "Content Security Policy" in line.text:
        page.refused.append(line.text)


def attack(page, world):
    """Have the page that is open attack the victim's board, and a page as the console has."""
    wait_until(lambda: page.evaluate("typeof window.attack") == "function")
    script = "([other, page]) => window.attack(other, page)"
    return page.evaluate(script, [world.victim, world.origin + "/v3"])


# What strangers log -------------------------------------------------------------------------


def test_logged_markup_is_shown_as_text(frontend, world):
    """TensorBoard needs no more than the policy for that, on any of its dashboards."""
    page = frontend
    for plugin, card in CARDS.items():
        page.evaluate("plugin => { location.hash = plugin }", plugin)
        page.locator(card).first.wait_for(state="attached")
    assert page.evaluate("[typeof window.hostile, location.origin]") == ["undefined", world.origin]
    assert (page.dialogs, page.refused) == ([], [])


def test_injected_script_does_not_run_in_frontend(frontend):
    """TensorBoard's page runs its own scripts only, if markup should get into it."""
    page = frontend
    page.locator("tb-webapp").wait_for(state="attached")
    page.evaluate(
        """() => {
            const inline = document.createElement("script");
            inline.textContent = "window.hostile = 'ran'";
            const other = document.createElement("script");
            other.src = "data/plugin/hostile/script.js";
            document.body.append(inline, other);
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=window.hostile=1>");
        }"""
    )
    # Events arrive during calls.
    wait_until(lambda: page.evaluate("true") and len(page.refused) >= 3)
    assert page.evaluate("[typeof window.hostile, typeof window.attack]") == ["undefined"] * 2


# Pages of a plugin --------------------------------------------------------------------------


def test_attack_works_where_nothing_stops_it(bare_page, world):
    """Else the tests below would show nothing: here by a script with the origin of the service."""
    page = bare_page
    page.goto(world.attacker + "data/runs")
    page.evaluate("() => {%s}" % ATTACK)
    got = attack(page, world)
    assert got.pop("origin") == world.origin
    names = {name for name, result in got.items() if result.startswith("got")}
    assert {"board", "boardPage", "boardFrame", "console", "api", "storage"} <= names


@pytest.mark.parametrize("path", PAGES[:2])
def test_page_of_plugin_reads_neither_board_nor_console(page, world, path):
    page.goto(world.attacker + path)
    got = attack(page, world)
    assert got.pop("origin") == "null"
    assert [name for name, result in got.items() if result.startswith("got")] == []


def test_picture_of_plugin_has_no_origin(page, world):
    page.goto(world.attacker + PAGES[2])
    assert page.evaluate("self.origin") == "null"


def test_plugin_in_frame_works_and_reads_no_other(frontend, world):
    """TensorBoard shows it in a frame of its page; it asks its own routes, and no others."""
    page = frontend
    page.evaluate("location.hash = 'hostile'")
    frame = page.frame_locator("iframe[src*=plugin_entry]")
    frame.get_by_text("rendered ").wait_for()
    (inside,) = [each for each in page.frames if "plugin_entry" in each.url]
    got = attack(inside, world)
    assert got.pop("origin") == "null"
    assert [name for name, result in got.items() if result.startswith("got")] == []


def test_board_is_shown_no_cookie_of_the_host(page, world):
    page.goto(world.attacker + "data/plugin/hostile/headers")
    told = page.evaluate("document.body.textContent")
    assert ("User-Agent" in told, COOKIE in told) == (True, False)


def test_board_cannot_reach_into_a_window_it_opens(page, world):
    """Other pages of the service are in a group of windows of their own."""
    page.goto(world.attacker + "data/runs")
    page.evaluate("address => { window.opened = window.open(address) }", world.origin + "/v3")
    wait_until(lambda: page.evaluate("window.opened.closed"))
    page.evaluate("address => { window.opened = window.open(address) }", world.victim + "data/runs")
    assert page.evaluate("window.opened.closed") is False  # a board knows who has its address


@pytest.mark.parametrize(
    "headers",
    [
        {"Service-Worker": "script"},
        {"Origin": "null", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_plugin_is_not_asked_by_others(world, headers):
    with requests.Session() as plain:
        plain.trust_env = False
        url = world.attacker + "data/plugin/hostile/script.js"
        assert plain.get(url, timeout=60).status_code == 200
        assert plain.get(url, headers=headers, timeout=60).status_code == 403
        opaque = {"Origin": "null", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site"}
        answer = plain.get(url, headers=opaque, timeout=60)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "null")


@pytest.mark.parametrize("path", ["/", "/v3", "/healthz", "/openapi.json", "/v1/x/y"])
def test_no_page_of_a_board_asks_for_anything_else(world, path):
    with requests.Session() as plain:
        plain.trust_env = False
        for headers in ({"Referer": world.attacker}, {"Origin": "null"}):
            for method in ("GET", "POST"):
                answer = plain.request(method, world.origin + path, headers=headers, timeout=60)
                assert answer.status_code == 403


@pytest.mark.parametrize(
    "answer",
    [
        "101 Switching Protocols\r\nUpgrade: websocket",
        "103 Early Hints\r\nLink: </x>",
        "999 Odd",
        "200 OK\r\nX-A: b\r\n Set-Cookie: a=b\r\nContent-Type: a\r\n b",
        "200 OK\r\nContent-Length: 2\r\nContent-Length: 9",
        "200 OK\r\nContent-Length: -2",
        "200 OK\r\nContent-Type: a\0b",
    ],
)
def test_answer_of_board_that_is_no_http_is_refused(world, answer):
    """It reaches no visitor, and the next request on the connection is answered."""
    raw = "HTTP/1.1 %s\r\n\r\nhi" % answer
    with requests.Session() as visitor:
        visitor.trust_env = False
        url = world.attacker + "data/plugin/hostile/raw"
        assert visitor.get(url, params=quote(raw), timeout=30).status_code == 502
        assert visitor.get(world.origin + "/healthz", timeout=30).json()["status"] == "ok"


def test_reason_of_board_is_not_passed_on(world):
    raw = quote("HTTP/1.1 200 OK\rSet-Cookie: a=b\r\nX-Accel-Redirect: /v3\r\n\r\nhi")
    answer = requests.get(world.attacker + "data/plugin/hostile/raw?" + raw, timeout=30)
    assert (answer.reason, answer.content) == ("OK", b"hi")
    assert "X-Accel-Redirect" not in answer.headers


def test_link_shows_no_page_of_a_plugin(page, world):
    for path in PAGES:
        assert page.goto(world.share + path).status == 403


@pytest.mark.extended
def test_shared_board_breaks_no_rule_of_its_policy(page, world):
    page.goto(world.share)
    page.locator("scalar-card").first.wait_for()
    assert page.refused == []


# Hosts of their own -------------------------------------------------------------------------


def test_each_board_has_a_host_of_its_own(hosts):
    names = [urlsplit(url).hostname for url in (hosts.victim, hosts.attacker, hosts.share)]
    assert len(set(names)) == 3
    for url in (hosts.victim, hosts.share):
        name, key = urlsplit(url).hostname, url.split("/")[-3]
        assert name.endswith(".localhost")
        assert key[:8] not in name  # names are not secret, on their way


@pytest.mark.extended
def test_board_works_at_its_own_host(page, hosts):
    page.goto(hosts.victim)
    page.locator("scalar-card").first.wait_for()
    assert page.evaluate("location.hostname") == urlsplit(hosts.victim).hostname
    assert page.refused == []


@pytest.mark.parametrize("path", [PAGES[0], pytest.param(PAGES[1], marks=pytest.mark.extended)])
def test_page_at_its_own_host_reads_no_other(page, hosts, path):
    """It has its own origin, so it may use cookies and storage: those of this one board."""
    page.goto(hosts.attacker + path)
    got = attack(page, hosts)
    assert got.pop("origin") == hosts.attacker.split("/modelarts/")[0]
    own = {"storage"}
    assert {name for name, result in got.items() if result.startswith("got")} <= own


@pytest.mark.extended
def test_plugin_at_its_own_host_is_shown(page, hosts):
    page.goto(hosts.attacker + "#hostile")
    page.frame_locator("iframe[src*=plugin_entry]").get_by_text("rendered ").wait_for()


@pytest.mark.extended
def test_board_in_frame_of_notebook_at_its_own_host(page, hosts, world):
    """A frame at another origin shows it: here, one on a page of another service."""
    page.goto(world.origin + "/healthz")
    page.evaluate(
        """address => {
            const frame = document.createElement("iframe");
            frame.src = address;
            document.body.append(frame);
        }""",
        hosts.victim,
    )
    page.frame_locator("iframe").locator("scalar-card").first.wait_for()


def test_host_of_a_board_has_nothing_else(hosts):
    """Asked as a browser asks, which finds all of these names on this machine."""
    address = urlsplit(hosts.victim)
    with requests.Session() as plain:
        plain.trust_env = False

        def ask(path, host=None, **more):
            headers = {"Host": host or address.netloc}
            return plain.get(hosts.origin + path, headers=headers, timeout=60, **more)

        assert ask(address.path).status_code == 200
        for path in ("/", "/v3", "/healthz", "/openapi.json", urlsplit(hosts.attacker).path):
            assert ask(path).status_code == 421
        assert ask(address.path, "x.localhost:1").status_code == 421
        elsewhere = ask(address.path + "?a=b", urlsplit(hosts.origin).netloc, allow_redirects=False)
        assert (elsewhere.status_code, elsewhere.headers["Location"]) == (
            302,
            hosts.victim + "?a=b",
        )
        url = hosts.origin + address.path
        assert plain.post(url, timeout=60).status_code == 421


def test_notebook_server_passes_no_host_of_a_board_on(hosts):
    """So boards of this machine share an origin unless told otherwise: a proxy has one name."""
    environ = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}
    assert board_address(hosts.victim, environ) == hosts.victim


def test_address_of_board_has_port_of_public_url():
    reach = Reach(
        "127.0.0.1",
        "http://127.0.0.1:1",
        public="https://boards.test:8443",
        board_host=board_host("*.Boards.test"),
    )
    path = "/modelarts/tensorboard/%s/1/" % (32 * "0")
    address = urlsplit(reach.address(None, path))
    assert (address.scheme, address.port, address.path) == ("https", 8443, path)
    assert reach.is_own(address.netloc, path)
    assert not reach.is_own(address.netloc, path.replace("0", "1"))
    assert not reach.is_own(address.netloc, "/v3")
    assert reach.is_own("boards.test", "/v3")


@pytest.mark.parametrize(
    "value", ["", "*", "*.", "boards.test", "*.a b", "*.-a", "*.a..b", "a.*.b"]
)
def test_board_host_is_a_wildcard(value):
    with pytest.raises(InvalidArgument, match="board_host must be"):
        board_host(value)
