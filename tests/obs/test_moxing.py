"""The file calls of MoXing in a training: on a folder that stands for OBS, and on the wire."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import modelarts
from modelarts.errors import CredentialsNotFound, InvalidArgument
from tests.servers.obs_server import ObsServer, Refusal

pytestmark = pytest.mark.obs

FOLDER = Path(modelarts.__file__).parent / "_moxing"
AK, SK = "MOXINGACCESSKEY", "the-secret-key-of-moxing"


@pytest.fixture(scope="module")
def mox():
    """The package, imported as a training does."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield import_module("moxing")
    finally:
        sys.path.remove(str(FOLDER))
        for name in [name for name in sys.modules if name.split(".")[0] == "moxing"]:
            del sys.modules[name]


@pytest.fixture(autouse=True)
def new_session(mox, monkeypatch):
    """Each test makes the session anew from its environment."""
    session = sys.modules["moxing.framework.file.session"]
    monkeypatch.setattr(session, "_session", None)
    monkeypatch.setattr(session, "_folder", None)
    monkeypatch.setattr(session, "_settings", {})
    session.FOLDERS.clear()


class Folder:
    """OBS as a folder of this machine, without credentials."""

    def __init__(self, monkeypatch, tmp_path):
        self.root = tmp_path / "obs"
        (self.root / "b").mkdir(parents=True)
        monkeypatch.setenv("MODELARTS_OBS_ENDPOINT", self.root.as_uri())

    def put(self, key, content):
        path = self.root / "b" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def objects(self):
        """Return the contents by key."""
        top = self.root / "b"
        files = [path for path in top.rglob("*") if path.is_file()]
        return {path.relative_to(top).as_posix(): path.read_bytes() for path in files}

    def close(self):
        """Nothing to close."""


class Wire:
    """OBS by HTTP, with keys in the environment."""

    def __init__(self, monkeypatch, tmp_path):
        self.server = ObsServer({AK: (SK, None)})
        monkeypatch.setenv("MODELARTS_OBS_ENDPOINT", self.server.url)
        monkeypatch.setenv("MODELARTS_ACCESS_KEY", AK)
        monkeypatch.setenv("MODELARTS_SECRET_KEY", SK)
        monkeypatch.setenv("MODELARTS_PROJECT_ID", "p")
        monkeypatch.setenv("MODELARTS_REGION", "region")

    def put(self, key, content):
        self.server.buckets["b"][key] = (content, '"etag"')

    def objects(self):
        """Return the contents by key, without those that stand for folders."""
        objects = self.server.buckets["b"]
        return {key: objects[key][0] for key in objects if not key.endswith("/")}

    def close(self):
        session = sys.modules["moxing.framework.file.session"]._session
        if session is not None:
            session.close()
        self.server.close()


@pytest.fixture(params=[Folder, Wire], ids=["folder", "wire"])
def place(request, mox, monkeypatch, tmp_path):
    place = request.param(monkeypatch, tmp_path)
    yield place
    place.close()


@pytest.fixture
def file(place, mox):
    return mox.file


@pytest.fixture
def data(place):
    """A folder in OBS with three objects."""
    for key, content in (("d/a.txt", b"A"), ("d/b.jpg", b"BB"), ("d/sub/c.txt", b"CCC")):
        place.put(key, content)
    return "obs://b/d"


def files_in(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def run(program, *flags, **environment):
    return subprocess.run(
        [sys.executable, *flags, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# The package ------------------------------------------------------------------------------


def test_moxing_is_on_the_path_of_trainings_only(tmp_path):
    program = "import modelarts, moxing; print(moxing.__file__)"
    path = [entry for entry in sys.path if entry and entry != str(FOLDER)]
    without = run(program, PYTHONPATH=os.pathsep.join(path))
    assert "No module named 'moxing'" in without.stdout
    within = run(program, PYTHONPATH=os.pathsep.join([*path, str(FOLDER)]))
    assert within.stdout.strip() == str(FOLDER / "moxing" / "__init__.py")


def test_package_is_found_beside_moxing(tmp_path):
    """Also where the Python of a training has no modelarts on its path."""
    for name in ("attr", "attrs"):  # all that it needs besides
        (tmp_path / name).symlink_to(Path(import_module(name).__file__).parent)
    program = "import os; os.chdir('/'); import moxing, modelarts; print(modelarts.__file__)"
    done = run(program, "-S", PYTHONPATH=os.pathsep.join([str(tmp_path), str(FOLDER)]))
    assert done.stdout.strip() == modelarts.__file__


def test_import_makes_no_session(tmp_path):
    program = (
        "import sys, moxing; print('requests' in sys.modules, 'modelarts.session' in sys.modules)"
    )
    path = os.pathsep.join([*filter(None, sys.path), str(FOLDER)])
    assert run(program, PYTHONPATH=path).stdout.split() == ["False", "False"]


def test_local_files_need_no_credentials(mox, tmp_path):
    mox.file.write(str(tmp_path / "a"), "x")
    assert mox.file.list_directory(str(tmp_path)) == ["a"]


def test_missing_credentials_are_an_error(mox):
    with pytest.raises(CredentialsNotFound):
        mox.file.exists("obs://b/a")


def test_other_parts_of_moxing_are_named(mox):
    with pytest.raises(AttributeError, match=r"moxing\.run is not available"):
        mox.run(None)


# Content ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["obs", "s3"])
def test_text_is_written_read_and_appended(file, place, scheme):
    url = scheme + "://b/new/é.txt"
    file.write(url, "naïve")
    file.append(url, "\nend")
    assert file.read(url) == "naïve\nend"
    assert place.objects() == {"new/é.txt": "naïve\nend".encode()}


def test_append_makes_the_object(file, place):
    file.append("obs://b/a.bin", b"\xff", binary=True)
    assert place.objects() == {"a.bin": b"\xff"}


def test_bytes_come_back_as_they_were(file, place):
    place.put("a.bin", bytes(range(256)))
    assert file.read("obs://b/a.bin", binary=True) == bytes(range(256))


def test_wrong_kind_of_data_changes_nothing(file, place):
    place.put("a.txt", b"old")
    with pytest.raises(TypeError, match="binary=False"):
        file.write("obs://b/a.txt", b"new")
    assert place.objects() == {"a.txt": b"old"}


def test_append_remote_joins_objects(file, place):
    place.put("one", b"1")
    place.put("two", b"2")
    file.append_remote("obs://b/one", "obs://b/two")
    assert place.objects() == {"one": b"1", "two": b"21"}


def test_file_reads_lines(file, place):
    place.put("a.txt", b"x\ny\n")
    with file.File("obs://b/a.txt", "r") as f:
        assert (f.readline(), list(f), f.name, f.mode) == ("x\n", ["y\n"], "obs://b/a.txt", "r")
        assert (f.readable(), f.writable(), f.size()) == (True, False, 4)


def test_file_keeps_the_rest_in_rb_plus(file, place):
    place.put("a.bin", b"12345")
    with file.File("obs://b/a.bin", "rb+") as f:
        f.seek(1)
        f.write(b"xx")
        assert f.tell() == 3
    assert place.objects() == {"a.bin": b"1xx45"}


def test_flush_sends_what_was_written(file, place):
    stream = file.File("obs://b/log.txt", "w")
    stream.write("first\n")
    stream.flush()
    assert place.objects() == {"log.txt": b"first\n"}
    stream.write("second\n")
    stream.close()
    assert place.objects() == {"log.txt": b"first\nsecond\n"}


def test_temporary_files_are_removed(file, place, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    file.write("obs://b/a", "x")
    file.read("obs://b/a")
    file.copy("obs://b/a", "obs://b/c")
    with pytest.raises(FileNotFoundError):
        file.read("obs://b/none")
    assert os.listdir(str(tmp_path / "tmp")) == []


# Questions --------------------------------------------------------------------------------


def test_exists_and_is_directory(file, data):
    urls = [data, data + "/", data + "/a.txt", data + "/sub", "obs://b", "obs://b/", "obs://b/x"]
    assert [file.exists(url) for url in urls] == [True] * 6 + [False]
    assert [file.is_directory(url) for url in urls] == [True, True, False, True, True, True, False]


def test_beginning_of_a_name_does_not_exist(file, data):
    assert not file.exists("obs://b/d/a.t")
    assert not file.exists("obs://missing/a")


def test_sizes_and_metadata(file, data):
    sizes = [file.get_size(data + "/b.jpg"), file.get_size(data), file.get_size(data, True)]
    assert sizes == [2, 0, 6]
    stat = file.stat(data + "/b.jpg")
    assert (stat.length, stat.is_directory, stat.mtime_nsec > 0) == (2, False, True)
    assert file.stat(data + "/sub").is_directory


@pytest.mark.parametrize("url", ["obs://b/none", "obs://missing/none"])
def test_missing_file_is_the_documented_error(file, url):
    for call in (file.stat, file.read, file.get_size, file.list_directory):
        with pytest.raises(file.MoxFileNotExistsException) as caught:
            call(url)
        assert isinstance(caught.value, FileNotFoundError)
        assert caught.value.resp.status == 404


def test_refusal_has_the_response(mox, monkeypatch, tmp_path):
    wire = Wire(monkeypatch, tmp_path)

    def refuse(call):
        raise Refusal(403, "AccessDenied", "no")

    wire.server.before = refuse
    try:
        with pytest.raises(mox.file.MoxFileRespException) as caught:
            mox.file.write("obs://b/a", "x")
    finally:
        wire.close()
    assert (caught.value.resp.status, caught.value.resp.errorCode) == (403, "AccessDenied")


@pytest.mark.parametrize("url", ["obs://", "obs://b/../x", "s3://-/x"])
def test_bad_url_is_an_invalid_argument(file, url):
    with pytest.raises(InvalidArgument):
        file.exists(url)


# Folders ----------------------------------------------------------------------------------


def test_list_directory(file, data):
    assert file.list_directory(data) == ["a.txt", "b.jpg", "sub"]
    assert file.list_directory(data + "/", recursive=True) == [
        "a.txt",
        "b.jpg",
        "sub",
        "sub/c.txt",
    ]
    assert file.list_directory(data, remove_sep=False, skip_file=True) == ["sub/"]
    assert file.list_directory(data, True, skip_dir=True) == ["a.txt", "b.jpg", "sub/c.txt"]


def test_local_and_remote_folders_list_alike(file, data, tmp_path):
    file.copy_parallel(data, str(tmp_path / "d"))
    for options in ({}, {"recursive": True}, {"remove_sep": False}):
        expected = file.list_directory(data, **options)
        assert file.list_directory(str(tmp_path / "d"), **options) == expected


def test_scan_dir_has_entries(file, data):
    entries = list(file.scan_dir(data))
    assert [(entry.name, entry.is_dir()) for entry in entries] == [
        ("a.txt", False),
        ("b.jpg", False),
        ("sub", True),
    ]
    assert (entries[1].path, entries[1].stat().length) == (data + "/b.jpg", 2)


def test_walk_goes_down_and_up(file, data):
    expected = [(data, ["sub"], ["a.txt", "b.jpg"]), (data + "/sub", [], ["c.txt"])]
    assert list(file.walk(data)) == expected
    assert list(file.walk(data, topdown=False)) == expected[::-1]
    assert list(file.walk("obs://b/none")) == []


def test_walk_leaves_out_removed_folders(file, data):
    walked = []
    for folder, folders, _ in file.walk(data):
        walked.append(folder)
        folders.clear()
    assert walked == [data]


def test_glob_finds_by_pattern(file, data):
    assert file.glob(data + "/*.jpg") == [data + "/b.jpg"]
    assert file.glob(data + "/*") == [data + "/a.txt", data + "/b.jpg", data + "/sub"]
    assert file.glob("obs://b/*/*/[bc].txt") == [data + "/sub/c.txt"]
    assert file.glob(data + "/a.txt") == [data + "/a.txt"]
    assert file.glob("obs://b/none/*") == []


def test_made_folders_exist_and_are_listed(file, place):
    file.make_dirs("obs://b/x/y")
    file.make_dirs("obs://b/x/y/")
    assert file.is_directory("obs://b/x/y")
    assert file.list_directory("obs://b", recursive=True) == ["x", "x/y"]
    assert list(file.walk("obs://b/x")) == [("obs://b/x", ["y"], []), ("obs://b/x/y", [], [])]
    assert file.list_directory("obs://b/x/y") == []
    assert place.objects() == {}


def test_mk_dir_needs_its_parent(file, place):
    with pytest.raises(OSError, match="no such file or folder"):
        file.mk_dir("obs://b/x/y")
    file.mk_dir("obs://b/x")
    file.mk_dir("obs://b/x/y")
    assert file.is_directory("obs://b/x/y")


def test_make_dirs_makes_no_bucket(file, place):
    with pytest.raises(file.MoxFileNotExistsException):
        file.make_dirs("obs://missing/x")


@pytest.mark.parametrize(
    ("url", "recursive", "left"),
    [
        ("obs://b/d/a.txt", False, ["d/b.jpg", "d/sub/c.txt"]),
        ("obs://b/d/a.txt", True, ["d/b.jpg", "d/sub/c.txt"]),
        ("obs://b/d/a.txt/", True, ["d/a.txt", "d/b.jpg", "d/sub/c.txt"]),
        ("obs://b/d/sub", False, ["d/a.txt", "d/b.jpg", "d/sub/c.txt"]),
        ("obs://b/d/sub/", False, ["d/a.txt", "d/b.jpg", "d/sub/c.txt"]),
        ("obs://b/d/sub", True, ["d/a.txt", "d/b.jpg"]),
        ("obs://b/d/", True, []),
        ("obs://b/none", True, ["d/a.txt", "d/b.jpg", "d/sub/c.txt"]),
    ],
)
def test_remove_deletes_what_is_documented(file, place, data, url, recursive, left):
    file.remove(url, recursive=recursive)
    assert sorted(place.objects()) == left


def test_removed_folder_is_gone(file, place):
    file.make_dirs("obs://b/x/y")
    file.remove("obs://b/x", recursive=True)
    assert not file.exists("obs://b/x/y")
    assert not file.exists("obs://b/x")


def test_bucket_is_not_removed(file, place, data):
    with pytest.raises(InvalidArgument):
        file.remove("obs://b", recursive=True)
    assert len(place.objects()) == 3


# Copies -----------------------------------------------------------------------------------


def test_copy_goes_in_every_direction(file, place, tmp_path):
    (tmp_path / "in").write_bytes(b"content")
    file.copy(str(tmp_path / "in"), "obs://b/x/one")
    file.copy("obs://b/x/one", "s3://b/y/two")
    file.copy("s3://b/y/two", str(tmp_path / "new" / "out"))
    file.copy(str(tmp_path / "new" / "out"), str(tmp_path / "last"))
    assert (tmp_path / "last").read_bytes() == b"content"
    assert place.objects() == {"x/one": b"content", "y/two": b"content"}


def test_copy_refuses_folders(file, data, tmp_path):
    with pytest.raises(IsADirectoryError, match="copy_parallel"):
        file.copy(data, str(tmp_path / "out"))
    with pytest.raises(IsADirectoryError):
        file.copy(data + "/a.txt", str(tmp_path))
    with pytest.raises(InvalidArgument):
        file.copy(data + "/a.txt", "obs://b/x/")
    with pytest.raises(file.MoxFileNotExistsException):
        file.copy("obs://b/none", str(tmp_path / "out"))


def test_copy_parallel_copies_the_contents(file, place, data, tmp_path):
    here = tmp_path / "here"
    file.copy_parallel(data, str(here))
    expected = {"a.txt": b"A", "b.jpg": b"BB", "sub/c.txt": b"CCC"}
    assert files_in(here) == expected
    file.copy_parallel(str(here), "obs://b/back/")
    file.copy_parallel("obs://b/back", "obs://b/again", threads=2)
    for prefix in ("back/", "again/"):
        copied = {key: place.objects()[prefix + key] for key in expected}
        assert copied == expected


def test_copy_parallel_copies_listed_files(file, data, tmp_path):
    file.copy_parallel(data, str(tmp_path / "x"), file_list=["b.jpg", "sub/c.txt"])
    assert files_in(tmp_path / "x") == {"b.jpg": b"BB", "sub/c.txt": b"CCC"}
    with pytest.raises(file.MoxFileNotExistsException):
        file.copy_parallel(data, str(tmp_path / "y"), file_list=["b.jpg", "none"])
    assert not (tmp_path / "y").exists()


def test_copy_parallel_copies_a_single_file(file, data, tmp_path):
    file.copy_parallel(data + "/a.txt", str(tmp_path / "a.txt"))
    assert (tmp_path / "a.txt").read_bytes() == b"A"


def test_copy_parallel_keeps_empty_folders(file, place, tmp_path):
    (tmp_path / "in" / "empty").mkdir(parents=True)
    file.copy_parallel(str(tmp_path / "in"), "obs://b/x")
    assert file.list_directory("obs://b/x") == ["empty"]
    file.copy_parallel("obs://b/x", str(tmp_path / "out"))
    assert (tmp_path / "out" / "empty").is_dir()


def test_copy_parallel_ends_at_links_in_a_circle(file, place, tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "f").write_bytes(b"1")
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
    file.copy_parallel(str(tmp_path / "in"), "obs://b/x")
    assert place.objects() == {"x/a/f": b"1"}


def test_copy_parallel_of_nothing_is_an_error(file, place, tmp_path):
    with pytest.raises(file.MoxFileNotExistsException):
        file.copy_parallel("obs://b/none", str(tmp_path / "x"))
    with pytest.raises(FileNotFoundError):
        file.copy_parallel(str(tmp_path / "none"), "obs://b/x")


def test_object_and_folder_of_one_name_are_an_error(mox, monkeypatch, tmp_path):
    wire = Wire(monkeypatch, tmp_path)
    try:
        wire.put("d/a", b"1")
        wire.put("d/a/b", b"2")
        with pytest.raises(mox.file.MoxFileNameDuplicateException):
            mox.file.copy_parallel("obs://b/d", str(tmp_path / "x"))
    finally:
        wire.close()
    assert not (tmp_path / "x").exists()


def test_threads_out_of_range_are_refused(file, data, tmp_path):
    with pytest.raises(InvalidArgument, match="1 to 256"):
        file.copy_parallel(data, str(tmp_path / "x"), threads=0)


def test_rename_moves_files_and_folders(file, place, data, tmp_path):
    file.rename(data + "/a.txt", data + "/new.txt")
    file.rename(data + "/sub", "s3://b/moved")
    file.rename(data + "/b.jpg", str(tmp_path / "b.jpg"))
    (tmp_path / "f").write_bytes(b"F")
    file.rename(str(tmp_path / "f"), "obs://b/f")
    assert place.objects() == {"d/new.txt": b"A", "moved/c.txt": b"CCC", "f": b"F"}
    assert [path.name for path in tmp_path.glob("[bf]*")] == ["b.jpg"]


def test_rename_to_itself_keeps_the_file(file, place, data):
    file.rename(data + "/a.txt", "s3://b/d/a.txt")
    file.rename(data, data + "/")
    assert len(place.objects()) == 3


def test_rename_into_itself_is_refused(file, place, data):
    with pytest.raises(InvalidArgument):
        file.rename(data, data + "/sub/d")
    assert len(place.objects()) == 3


# Settings ---------------------------------------------------------------------------------


def test_set_auth_uses_other_keys(mox, monkeypatch, tmp_path):
    wire = Wire(monkeypatch, tmp_path)
    try:
        wire.put("a", b"x")
        mox.file.set_auth(ak=AK, sk="another-secret-key", retry=0)
        with pytest.raises(mox.file.MoxFileRespException):
            mox.file.read("obs://b/a")
        host = wire.server.url.partition("://")[2]
        address, _, port = host.partition(":")
        mox.file.set_auth(ak=AK, sk=SK, server=address, port=int(port), is_secure=False)
        assert mox.file.read("obs://b/a") == "x"
    finally:
        wire.close()


def test_set_auth_without_keys_changes_nothing(file, data):
    file.set_auth(is_secure=False, path_style=True)
    assert file.read(data + "/a.txt") == "A"


def test_set_auth_needs_both_keys(mox):
    with pytest.raises(InvalidArgument):
        mox.file.set_auth(ak=AK)


def test_shift_lets_python_read_urls(mox, file, data, tmp_path):
    (tmp_path / "f").write_text("here")
    mox.file.shift("os", "mox")
    try:
        with open(data + "/a.txt") as f:
            assert f.read() == "A"
        with open(str(tmp_path / "f")) as f:
            assert f.read() == "here"
        assert os.listdir(data) == ["a.txt", "b.jpg", "sub"]
        assert os.path.exists(data)
        assert os.path.exists(str(tmp_path))
    finally:
        mox.file.shift("mox", "os")
    assert not os.path.exists(data)


def test_forked_process_reads_too(file, data):
    assert file.read(data + "/a.txt") == "A"
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, file.read(data + "/b.jpg").encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"BB"
    assert os.waitpid(pid, 0)[1] == 0
