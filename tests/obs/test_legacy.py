"""``upload_data`` and ``download_data``, as scripts call them."""

import io

import pytest

from modelarts.errors import IncompleteTransfer, InvalidArgument, NotFound
from tests.support.places import FolderPlace, ObsPlace
from tests.support.trees import contents, tree, urls

pytestmark = pytest.mark.local

LINE = "Successfully download file %s from OBS to local %s\n"


@pytest.fixture(params=[FolderPlace, ObsPlace], ids=["folder", "obs"])
def place(request, tmp_path):
    place = request.param(request, tmp_path)
    yield place
    place.close()


@pytest.fixture
def session(place):
    return place.session


@pytest.fixture
def bucket(place):
    return place.bucket


def test_a_file_several_and_a_folder_are_sent(session, bucket, tmp_path):
    tree(tmp_path, {"sdk1.txt": b"1", "sdk2.txt": b"2", "sdk/a.txt": b"3"})
    session.upload_data(bucket_path="/%s/dir1/" % bucket, path=str(tmp_path / "sdk1.txt"))
    many = [str(tmp_path / "sdk1.txt"), str(tmp_path / "sdk2.txt")]
    assert session.upload_data(bucket_path=bucket + "/dir2", path=many).files == 2
    session.upload_data(bucket_path="%s/logs/net" % bucket, path=str(tmp_path / "sdk") + "/")
    names = ("dir1/sdk1.txt", "dir2/sdk1.txt", "dir2/sdk2.txt", "logs/net/sdk/a.txt")
    assert urls(session.obs, "obs://%s/" % bucket) == [
        "obs://%s/%s" % (bucket, name) for name in names
    ]


def test_object_is_fetched_to_folder_or_file(session, bucket, tmp_path, capsys):
    """An object is fetched to a folder or to the file that is named."""
    session.upload_data("/%s/dir1" % bucket, tree(tmp_path, {"sdk.txt": b"1"}) / "sdk.txt")
    key = "%s/dir1/sdk.txt" % bucket
    (tmp_path / "there").mkdir()
    for path, lands in (
        ("there", "there/sdk.txt"),
        ("new/", "new/sdk.txt"),
        ("other.name", "other.name"),
        ("deep/er/obs.txt", "deep/er/obs.txt"),
        ("other.name", "other.name"),
    ):
        session.download_data(bucket_path="/" + key, path=str(tmp_path) + "/" + path)
        assert (tmp_path / lands).read_bytes() == b"1"
        assert capsys.readouterr().out == LINE % (key, tmp_path / lands)


def test_folder_fetch_prints_line_per_file(session, bucket, tmp_path, capsys):
    """A folder is fetched with a line for each file slash or not."""
    source = tree(tmp_path / "logs", {"a.txt": b"1", "b/c.txt": b"2"})
    session.upload_data(bucket, source)
    for number, slash in enumerate(("/", "")):
        goal = tmp_path / ("back%d" % number)
        session.download_data(bucket_path="/%s/logs%s" % (bucket, slash), path=goal)
        assert contents(goal / "logs") == contents(source)
        printed = capsys.readouterr().out.splitlines(keepends=True)
        assert sorted(printed) == [
            LINE % ("%s/logs/%s" % (bucket, name), goal / "logs" / name)
            for name in ("a.txt", "b/c.txt")
        ]


def test_unprintable_name_is_fetched(session, bucket, tmp_path, monkeypatch):
    """A name that the terminal cannot show is fetched all the same."""
    session.upload_data(bucket, tree(tmp_path / "logs", {"日志.txt": b"1"}))
    printed = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed, "ascii", write_through=True))
    session.download_data(bucket + "/logs/", tmp_path / "back")
    assert contents(tmp_path / "back" / "logs") == {"日志.txt": b"1"}
    assert rb"/logs/\u65e5\u5fd7.txt from OBS to local" in printed.getvalue()


def test_what_is_wrong_is_told_and_nothing_is_printed(session, bucket, tmp_path, capsys):
    tree(tmp_path, {"a/x.txt": b"1", "b/x.txt": b"2"})
    same = [tmp_path / "a" / "x.txt", tmp_path / "b" / "x.txt"]
    for path in (same, [], tmp_path / "nothing", "obs://b/x", 5):
        with pytest.raises(InvalidArgument, match="path"):
            session.upload_data(bucket, path)
    with pytest.raises(InvalidArgument, match="bucket_path"):
        session.download_data("./bucket", tmp_path)
    with pytest.raises(NotFound):
        session.download_data(bucket + "/nothing", tmp_path / "x")
    assert capsys.readouterr().out == ""


def test_of_several_files_those_that_are_missing_are_named(session, bucket, tmp_path):
    files = tree(tmp_path, {"a": b"1", "b": b"2"})
    long = "obs/" * 255 + "xxx"
    with pytest.raises(IncompleteTransfer) as caught:
        session.upload_data("/%s/%s" % (bucket, long), [files / "a", files / "b"])
    assert len(caught.value.failed) == 2
