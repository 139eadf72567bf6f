"""Answers that are not what was asked for: none is taken for it, and no request goes elsewhere."""

import os

import pytest

from modelarts.errors import (
    ApiError,
    AuthenticationFailed,
    IncompleteTransfer,
    NotFound,
    PermissionDenied,
    TransferError,
    TransportError,
)
from modelarts.session import Session
from tests.servers.obs_server import Cut, ObsServer, Refusal
from tests.support.transfers import (
    SIZE,
    SMALL_SIZES,
    a_file,
    an_object,
    checkpoints,
    interrupt_upload,
    make_store,
    settings,
)

pytestmark = pytest.mark.obs

PAGE = b"<html><body>Sign in first<br></body></html>"


@pytest.fixture
def obs(server):
    session = Session(**settings(server))
    yield session.obs
    session.close()


# Of all alike -------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["upload_dir", "sync_dir"])
def test_what_is_refused_to_all_is_raised_at_once(obs, server, tmp_path, call):
    """Not tried with each of many files, nor told once for each."""
    for number in range(300):
        (tmp_path / str(number)).write_bytes(b"x")
    with pytest.raises(NotFound, match=r"NoSuchBucket.*create the bucket"):
        getattr(obs, call)(tmp_path, "obs://nothing/x/", threads=4)
    assert len(server.calls) <= 8
    server.keys.clear()
    with pytest.raises(AuthenticationFailed):
        getattr(obs, call)(tmp_path, "obs://b/x/", threads=4)
    assert len(server.calls) <= 24


def test_refusal_midway_names_missing_files(obs, server, tmp_path):
    def forget_the_keys(call):
        if call.key.endswith("/3"):
            server.keys.clear()

    for number in range(6):
        (tmp_path / str(number)).write_bytes(b"x")
    server.before = forget_the_keys
    with pytest.raises(IncompleteTransfer) as caught:
        obs.upload_dir(tmp_path, "obs://b/x/", threads=1)
    assert [os.path.basename(name) for name, _ in caught.value.failed] == ["3", "4", "5"]
    assert len(caught.value.done) == 3


# Of something else --------------------------------------------------------------------------


@pytest.mark.parametrize("content", [PAGE, b""], ids=["page", "nothing"])
def test_server_answering_200_is_not_obs(obs, store, server, tmp_path, content):
    """A server that answers 200 to anything is not taken for obs."""

    def answer(call):
        raise Refusal(200, "", content=content)

    server.before = answer
    path, large = str(a_file(tmp_path, 100)), str(a_file(tmp_path, SIZE, "large"))
    for call in (
        lambda: obs.upload_file(path, "obs://b/x/"),
        lambda: store.upload(large, "b", "large"),
        lambda: obs.is_obs_path_exists("obs://b/x"),
        lambda: obs.is_obs_path_exists("obs://b/x/"),
        lambda: list(obs.list("obs://b/x/")),
        lambda: obs.delete("obs://b/x"),
        lambda: obs.delete("obs://b/x/", recursive=True),
        lambda: obs.download_file("obs://b/x", str(tmp_path) + "/"),
        lambda: obs.download_dir("obs://b/x/", str(tmp_path) + "/"),
        lambda: obs.sync_dir(tmp_path, "obs://b/x/"),
    ):
        with pytest.raises(
            TransportError,
            match=r"HTTP 200, (in a response that is not of OBS|without the requested result)",
        ):
            call()
    assert sorted(os.listdir(str(tmp_path))) == ["file", "large"]


def test_foreign_answer_is_no_deletion(store, server):
    """Deletions that something else answers are not taken for done."""

    def answer(call):
        raise Refusal(200, "", content=PAGE)

    server.before = answer
    ((key, error),) = store.delete("b", ["k"])
    assert (key, type(error)) == ("k", TransportError)


def test_error_within_200_answer_is_retried(store, server, tmp_path):
    """S3 begins to answer 200 before it has put the parts together."""
    path, refusals = a_file(tmp_path, SMALL_SIZES.multipart + 1), [1, 2]

    def fail(call):
        if call.method == "POST" and "uploadId" in call.query and refusals:
            refusals.pop()
            raise Refusal(200, "InternalError")

    server.before = fail
    store.upload(str(path), "b", "k")
    assert refusals == []
    assert server.buckets["b"]["k"][0] == path.read_bytes()


def test_lasting_error_keeps_parts(server, tmp_path):
    path = a_file(tmp_path, SIZE // 2)

    def fail(call):
        if call.method == "POST" and "uploadId" in call.query:
            raise Refusal(200, "InternalError")

    server.before = fail
    with pytest.raises(TransportError):
        make_store(server).upload(str(path), "b", "k")
    assert len(checkpoints()) == len(server.uploads) == 1
    server.before, before = lambda call: None, server.received
    make_store(server).upload(str(path), "b", "k")
    assert server.received - before < 10_000
    assert server.buckets["b"]["k"][0] == path.read_bytes()
    assert checkpoints() == []


@pytest.mark.parametrize("size", [SIZE // 20, SIZE])
def test_all_of_an_object_is_not_taken_for_a_part_of_it(store, server, tmp_path, size):
    """The first answer to a small one is cut, so that its rest is asked for."""
    content, target, cuts = an_object(server, size), tmp_path / "target", []

    def cut(call, left):
        if size != SIZE and call.method == "GET" and not cuts and len(left) < size // 3:
            cuts.append(call)
            raise Cut

    server.during, server.ranges = cut, False
    with pytest.raises(TransferError, match="does not support ranges"):
        store.download(store.head("b", "k"), str(target))
    assert os.listdir(str(tmp_path)) == []
    server.ranges = True
    store.download(store.head("b", "k"), str(target))
    assert target.read_bytes() == content


def test_a_list_that_begins_again_and_again_ends(obs, server):
    """As from a server that does not know where a page is to begin."""
    page = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated>"
        b"<Contents><Key>x/1</Key><Size>0</Size></Contents></ListBucketResult>"
    )

    def answer(call):
        raise Refusal(200, "", content=page)

    server.before = answer
    with pytest.raises(TransferError, match="the same page again after 'x/1'"):
        list(obs.list("obs://b/x/"))
    assert len(server.calls) == 2


def test_a_list_of_parts_that_begins_again_and_again_ends(server, tmp_path):
    path = a_file(tmp_path, SIZE)
    interrupt_upload(server, path)
    page = (
        b"<ListPartsResult><IsTruncated>true</IsTruncated>"
        b"<Part><PartNumber>1</PartNumber><Size>1</Size><ETag>x</ETag></Part></ListPartsResult>"
    )

    def answer(call):
        if call.method == "GET":
            raise Refusal(200, "", content=page)

    server.before = answer
    make_store(server).upload(str(path), "b", "k")
    assert server.buckets["b"]["k"][0] == path.read_bytes()


# From elsewhere -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_not_followed(obs, store, server, tmp_path, status):
    """No redirect is followed and no request signed for elsewhere."""
    other = ObsServer(server.keys)
    try:

        def redirect(call):
            where = other.url + call.raw_path
            raise Refusal(status, "", headers={"Location": where + "?" + call.raw_query})

        server.before = redirect
        path, large = str(a_file(tmp_path, 100)), str(a_file(tmp_path, SIZE, "large"))
        for call in (
            lambda: obs.upload_file(path, "obs://b/x/"),
            lambda: store.upload(large, "b", "large"),
            lambda: obs.is_obs_path_exists("obs://b/x"),
            lambda: obs.is_obs_path_exists("obs://b/"),
            lambda: list(obs.list("obs://b/x/")),
            lambda: obs.delete("obs://b/x"),
            lambda: obs.download_file("obs://b/x", str(tmp_path) + "/"),
        ):
            with pytest.raises(ApiError, match="leads to %s/b" % other.url) as caught:
                call()
            assert caught.value.status_code == status
        client = Session(**settings(server)).get_obs_client()
        assert client.getObject("b", "x").status == status
        assert client.listObjects("b").status == status
        client.close()
        assert other.calls == []
    finally:
        other.close()


def test_a_bucket_of_another_region_is_told_with_what_to_do(obs, server):
    def redirect(call):
        raise Refusal(301, "PermanentRedirect", headers={"Location": "https://other.example/"})

    server.before = redirect
    for call in (lambda: list(obs.list("obs://b/")), lambda: obs.is_obs_path_exists("obs://b/x")):
        with pytest.raises(ApiError, match="in another region: give that one's obs_endpoint="):
            call()


# Without a word -----------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["obs://b/x", "obs://b/"])
def test_head_refusal_has_a_reason(server, url):
    session = Session(**settings(server, secret_key="not-that-one"))
    with pytest.raises(AuthenticationFailed, match="check the secret key") as caught:
        session.obs.is_obs_path_exists(url)
    session.close()
    assert caught.value.error_code == "SignatureDoesNotMatch"


def test_who_may_read_an_object_and_not_look_it_up_is_told_so(store, server):
    an_object(server, 1000)

    def refuse(call):
        if call.method == "HEAD":
            raise Refusal(403, "AccessDenied")

    server.before = refuse
    with pytest.raises(PermissionDenied, match="look up obs://b/k: HTTP 403"):
        store.head("b", "k")
