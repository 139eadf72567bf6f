"""``session.obs.copy`` and ``get_default_bucket``, and ``session.create_directory``."""

import os

import pytest

from modelarts.errors import IncompleteTransfer, InvalidArgument, NotFound, TransferError
from modelarts.obs.stores.obs import ObsStore
from modelarts.session import Session
from tests.servers.cloud import Cloud
from tests.support.places import ObsPlace, ServicePlace
from tests.support.trees import NAMES, contents, tree, urls

pytestmark = pytest.mark.local

MB = 1024 * 1024


def test_documented_copy_fetches_an_object(obs, bucket, home):
    tree(home, {"obs_file.txt": b"hello"})
    obs.copy(str(home / "obs_file.txt"), bucket)
    done = obs.copy(bucket + "obs_file.txt", str(home / "work") + "/")
    assert (done.target, done.files, done.bytes) == (str(home / "work/obs_file.txt"), 1, 5)
    assert (home / "work" / "obs_file.txt").read_bytes() == b"hello"


def test_folders_are_copied_in_every_direction(obs, bucket, home):
    source = tree(home / "runs", {"a.txt": b"1", "deep/er/b.txt": b"22"})
    assert obs.copy(source, bucket + "up").target == bucket + "up/runs/"
    across = obs.copy(bucket + "up/runs/", bucket + "across/")
    assert (across.target, across.files, across.bytes) == (bucket + "across/runs/", 2, 3)
    # As for download_data, the slash of a folder may be forgotten.
    assert obs.copy(bucket + "across/runs", bucket + "again").target == bucket + "again/runs/"
    assert obs.copy(bucket + "again/runs", home / "back").target == str(home / "back" / "runs")
    assert contents(home / "back" / "runs") == contents(source)
    assert urls(obs, bucket + "up/") == [bucket + "up/runs/a.txt", bucket + "up/runs/deep/er/b.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_objects_of_any_name_are_copied(obs, bucket, home, name):
    tree(home, {name: b"content"})
    obs.copy(home / name, bucket + "from/")
    done = obs.copy(bucket + "from/" + name, bucket + "to/")
    assert done.target == bucket + "to/" + name
    obs.copy(done.target, home / "back")
    assert contents(home / "back") == {name: b"content"}


def test_object_takes_a_new_name_or_goes_into_a_folder(obs, bucket, home):
    """A target without a slash is the object itself if it has the extension, or is one already."""
    obs.copy(tree(home, {"a.txt": b"1"}) / "a.txt", bucket)
    targets = [obs.copy(bucket + "a.txt", bucket + new).target for new in ("b.txt", "c", "b.txt")]
    assert targets == [bucket + "b.txt", bucket + "c/a.txt", bucket + "b.txt"]


def test_nothing_is_copied_onto_or_into_itself(obs, bucket, home):
    obs.copy(tree(home, {"a/b.txt": b"1"}) / "a", bucket)
    for target in (bucket, bucket + "a", bucket + "a/deeper/"):
        with pytest.raises(InvalidArgument, match="a folder that is not in"):
            obs.copy(bucket + "a/", target)
    with pytest.raises(InvalidArgument, match="another object than the source"):
        obs.copy(bucket + "a/b.txt", bucket + "a/")
    assert urls(obs, bucket) == [bucket + "a/b.txt"]


@pytest.mark.parametrize(
    ("src", "dst"), [("a", "b"), (None, "obs://b/"), ("obs://b/a", 1), ("obs:/b/a", "c"), ("", "")]
)
def test_copy_of_what_is_no_path_is_refused(obs, src, dst):
    with pytest.raises(InvalidArgument):
        obs.copy(src, dst)


def test_copy_of_what_is_not_there_is_refused(obs, bucket, home):
    for target in (bucket + "x/", str(home)):
        for missing in ("none.txt", "none/"):
            with pytest.raises(NotFound, match="there is no such"):
                obs.copy(bucket + missing, target)


def test_failed_copies_are_named(obs, bucket, home, place):
    if isinstance(place, ObsPlace):
        pytest.skip("OBS has no names that are a file and a folder")
    obs.copy(tree(home / "a", {"one": b"1", "two": b"2"}), bucket)
    obs.copy(tree(home / "b", {"a/one/x": b"3"}), bucket)
    with pytest.raises(IncompleteTransfer) as caught:
        obs.copy(bucket + "a/", bucket + "b/")
    assert [name for name, _ in caught.value.failed] == [bucket + "a/one"]
    assert caught.value.done == (bucket + "a/two",)


# A large object, in parts -----------------------------------------------------------------


@pytest.fixture
def store(request, tmp_path):
    """A store that copies more than 5 MB in parts, as OBS does 5 GB."""
    place = ObsPlace(request, tmp_path)
    store = ObsStore(place.session.get_obs_client(), copied=(5 * MB, 5 * MB))
    store.place = place
    yield store
    store.close()
    place.close()


def test_large_object_is_copied_in_parts(store, tmp_path):
    path, moved, bucket = tmp_path / "large", [], store.place.bucket
    path.write_bytes(os.urandom(11 * MB))
    store.upload(str(path), bucket, "a b/lärge")
    store.copy(store.head(bucket, "a b/lärge"), bucket, "to", moved.append)
    assert moved == [5 * MB, 5 * MB, MB]
    store.download(store.head(bucket, "to"), str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == path.read_bytes()


def test_object_that_is_replaced_meanwhile_is_not_copied(store, tmp_path):
    path, bucket = tmp_path / "large", store.place.bucket
    path.write_bytes(bytes(11 * MB))
    store.upload(str(path), bucket, "from")

    def replace(count):
        store.place.session.obs.upload_file(tmp_path / "from", "obs://%s/" % bucket)

    (tmp_path / "from").write_bytes(b"another")
    with pytest.raises(TransferError, match="replaced meanwhile"):
        store.copy(store.head(bucket, "from"), bucket, "to", replace)
    assert store.head(bucket, "to") is None
    client = store.place.session.get_obs_client()
    assert client.listMultipartUploads(bucket).body.upload == []
    client.close()


# Buckets and folders ----------------------------------------------------------------------


def test_default_bucket_is_made_and_found_again(place):
    session = place.session
    name = session.obs.get_default_bucket()
    assert name == "modelarts-%s-%s" % (session.region_name, session.project_id)
    assert session.obs.is_obs_path_exists("obs://%s" % name)
    assert session.obs.get_default_bucket() == name


def test_default_bucket_is_that_of_obs_path(place):
    known = place.session
    session = Session(
        access_key=known.access_key,
        secret_key=known.secret_key,
        project_id=known.project_id,
        region_name=known.region_name,
        obs_endpoint=known.obs_endpoint,
        obs_path="obs://%s/boards/" % place.bucket,
        proxies={},
    )
    assert session.obs.get_default_bucket() == place.bucket
    session.close()


def test_created_directory_is_there(place):
    """The local service's OBS API lists no folder without objects, as its files are a disk's."""
    session = place.session
    url = session.create_directory(bucket=place.bucket, directory="/dir1/dir2/")
    assert url == "obs://%s/dir1/dir2/" % place.bucket
    assert session.create_directory(place.bucket, "dir1/dir2") == url
    assert session.obs.is_obs_path_exists(url) is not isinstance(place, ServicePlace)
    assert list(session.obs.list("obs://%s/" % place.bucket)) == []


def test_service_lists_no_directory_without_objects(request, tmp_path):
    place = ServicePlace(request, tmp_path)
    url = place.session.create_directory(place.bucket, "/dir/")
    assert place.session.obs.is_obs_path_exists(url) is False
    place.close()


def test_created_directory_is_filled_and_deleted(place, home):
    obs, url = place.session.obs, place.session.create_directory(place.bucket, "/d/")
    obs.upload_file(tree(home, {"a.txt": b"1"}) / "a.txt", url)
    assert urls(obs, url) == [url + "a.txt"]
    obs.delete(url, recursive=True)
    assert obs.is_obs_path_exists(url) is False


def test_empty_directory_is_fetched_and_deleted(place, home):
    if isinstance(place, ServicePlace):
        pytest.skip("it lists no folder without objects")
    obs, url = place.session.obs, place.session.create_directory(place.bucket, "/d/e/")
    assert obs.copy(url, home).files == 0
    obs.delete(url, recursive=True)
    assert obs.is_obs_path_exists(url) is False


@pytest.mark.parametrize(
    ("bucket", "directory"),
    [
        ("", "/a/"),
        (None, "/a/"),
        ("b/c", "/a/"),
        ("b", ""),
        ("b", "/"),
        ("b", "/a/../b/"),
        ("b", 1),
    ],
)
def test_directory_that_cannot_be_is_refused(bucket, directory):
    keys = {"access_key": Cloud.access_key, "secret_key": Cloud.secret_key}
    session = Session(project_id="0" * 32, region_name="eu-de", **keys)
    with pytest.raises(InvalidArgument):
        session.create_directory(bucket, directory)
