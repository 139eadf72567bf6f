"""Folders of logs that hypothesis makes up: boards return no byte from outside, and none hangs."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorboardX import SummaryWriter

from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.boards import landlock
from tests.local.web import client
from tests.servers.service import Service
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

MARK = "of-somebody-else-0123456789"
#: So many runs has a board; the data server is chosen for more than 20.
FOLDERS = [21, pytest.param(50, marks=pytest.mark.extended)]
BOARDS = 2  # with a data server, and without
EVENTS = "events.out.tfevents.1700000000.host"
CONFIG = "projector_config.pbtxt"
NAMES = (EVENTS, CONFIG, "metadata.tsv", "sprite.png", "bookmarks.txt", "model.ckpt.index", "sub")
#: In place of these words, where they stand in a path, is what they name.
PLACES = ("SECRET", "USERS", "JOBS", "ENVIRON", "LOG", "OUTSIDE", "PASSWD")


def paths():
    """Paths that lead to one of the places, in many spellings."""
    place = st.sampled_from(PLACES)
    return st.one_of(
        place,
        place.map(lambda name: "relative " + name),
        place.map(lambda name: "parent " + name),
        st.sampled_from(
            ("metadata.tsv", "sub/metadata.tsv", "../good", "", "/", "file:///etc/passwd")
        ),
        st.text(max_size=30).map(lambda text: text.replace("\0", "")),
    )


def field(name):
    return st.tuples(st.just(name), paths())


FIELDS = ("tensor_path", "metadata_path", "bookmarks_path", "sprite { image_path")
ENTRIES = st.one_of(
    st.tuples(st.just("config"), st.lists(st.sampled_from(FIELDS).flatmap(field), max_size=4)),
    st.tuples(st.just("checkpoint"), paths()),
    st.tuples(st.just("link"), st.tuples(st.sampled_from(NAMES), paths())),
    st.tuples(st.just("bytes"), st.tuples(st.sampled_from(NAMES), st.binary(max_size=200))),
    st.tuples(st.just("pipe"), st.sampled_from(NAMES)),
    st.tuples(st.just("tag"), st.text(min_size=1, max_size=20)),
    st.tuples(st.just("cut"), st.integers(0, 150)),
)
RUNS = st.tuples(
    st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0"), max_size=20),
    st.lists(ENTRIES, min_size=1, max_size=5),
)


def _is_special(entry):
    """Return True for an event file that is a link, which can lead to what is no file."""
    kind, value = entry
    return kind == "link" and value[0] == EVENTS


class World:
    def __init__(self, root, *arguments):
        self.service = Service(root, *arguments, environ={"TRAINER": MARK}, is_forked=False)
        self.root = self.service.root
        secret = root / "obs" / "other" / "secret.txt"
        secret.parent.mkdir(parents=True)
        secret.write_text(MARK)
        with open(str(root / "service.log"), "a") as file:
            file.write(MARK + "\n")
        self.places = {
            "SECRET": str(secret),
            "USERS": str(root / "users.json"),
            "JOBS": str(root / "jobs.sqlite"),
            "ENVIRON": "/proc/%d/environ" % self.service.process.pid,
            "LOG": str(root / "service.log"),
            "OUTSIDE": str(root / "obs" / "other"),
            "PASSWD": "/etc/passwd",
        }
        self.secrets = [MARK.encode(), self.service.connection["secret_key"].encode()]
        self.secrets += [b"root:x:0:0", b"SQLite format 3"]
        self.boards = 0
        self.readers = set()

    def path(self, text, run):
        """The path that a made-up one stands for, seen from a run."""
        word = text.split(" ")[-1]
        if word not in self.places:
            return text
        if text.startswith("relative "):
            return os.path.relpath(self.places[word], str(run))
        if text.startswith("parent "):
            return "sub/../" + os.path.relpath(self.places[word], str(run))
        return self.places[word]

    def write(self, run, entries):
        run.mkdir(parents=True)
        for number, (kind, value) in enumerate(entries):
            if kind == "config":
                lines = ['embeddings { tensor_name: "x:0"']
                for name, path in value:
                    path = self.path(path, run).replace("\\", "/").replace('"', "'")
                    lines.append('%s: "%s"%s' % (name, path, " }" * name.count("{")))
                self._put(run / CONFIG, ("\n".join([*lines, "}"])).encode("utf-8", "replace"))
            elif kind == "checkpoint":
                text = 'model_checkpoint_path: "%s"' % self.path(value, run).replace('"', "'")
                self._put(run / CONFIG, text.encode("utf-8", "replace"))
            elif kind == "link":
                name, path = value
                path = self.path(path, run)
                if path and not os.path.lexists(str(run / name)):
                    os.symlink(path.encode("utf-8", "replace"), str(run / name).encode())
            elif kind == "bytes":
                self._put(run / value[0], value[1])
            elif kind == "pipe":
                if not os.path.lexists(str(run / value)):
                    os.mkfifo(str(run / value))
            else:
                with SummaryWriter(str(run), filename_suffix=".%d" % number) as writer:
                    writer.add_scalar(value if kind == "tag" else "loss", 1.0, 1)
                if kind == "cut":
                    for each in run.glob("*.%d" % number):
                        os.truncate(str(each), value)

    def _put(self, path, content):
        if not os.path.lexists(str(path)):
            path.write_bytes(content)

    def attack(self, runs):
        """Show a board over these runs, and ask it for all that it has."""
        self.boards += 1
        logs = self.root / "obs" / ("bucket-%d" % self.boards) / "logs"
        names = []
        for number, (name, entries) in enumerate(runs):
            # A run without an event file is none to TensorBoard, and never asked for.
            if self.boards % 2:  # the data server is not chosen where an event file is a pipe
                entries = [
                    entry for entry in entries if entry[0] != "pipe" and not _is_special(entry)
                ]
            self.write(logs / ("%d-%s" % (number, name)), [*entries, ("tag", "loss")])
            names.append("%d-%s" % (number, name))
        self.write(logs / "good", [("tag", "loss")])
        with self.service.session() as session:
            url = "/bucket-%d/logs/" % self.boards
            job = VisualizationJob.create(url, check=False, session=session).wait()
            wait_until(lambda: "good" in self.get(job, "scalars/tags").json())
            for run in names:
                for route in ("info", "metadata", "bookmarks", "sprite_image", "tensor"):
                    self.get(job, "projector/" + route, run=run, name="x:0", num_rows=10)
            for route in ("projector/runs", "text/tags", "images/tags", "hparams/experiment"):
                self.get(job, route)
            answer = self.get(job, "scalars/scalars", run="good", tag="loss")
            assert answer.json()[0][2] == 1.0
            assert job.refresh().status == JobStatus.RUNNING
            self.readers.add(job.raw["reader"])
            job.delete()

    def get(self, job, path, **query):
        url = "%sdata/plugin/%s" % (job.service_url, path)
        answer = client.get(url, query)
        for secret in self.secrets:
            assert secret not in answer.content, (path, query)
        return answer


#: The kernel does not look at names, so that most can go wrong without it.
MODES = ["by code alone", pytest.param("by the kernel", marks=pytest.mark.extended)]


@pytest.fixture(scope="module", params=MODES)
def world(request, tmp_path_factory):
    if request.param == "by the kernel" and not landlock.abi():
        pytest.fail("this machine has no Landlock, so nothing was tested")
    extra = [] if request.param == "by the kernel" else ["--unconfined-boards"]
    world = World(tmp_path_factory.mktemp("fuzz") / "root", *extra)
    yield world
    assert world.service.end() == 0
    assert world.boards >= BOARDS
    assert world.readers == {"TensorBoard's data server", "TensorBoard's Python reader"}


@pytest.mark.parametrize("folders", FOLDERS)
@settings(
    max_examples=BOARDS,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_hostile_folders_return_no_byte_from_outside(world, folders, data):
    world.attack(data.draw(st.lists(RUNS, min_size=folders, max_size=folders)))
