"""Paths in OBS: what is understood, and what is recognised as a mistake."""

import os
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelarts.errors import InvalidArgument
from modelarts.obs.paths import ObsPath, local_segments, parse
from modelarts.validation import is_local


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("obs://bucket/a/b.txt", "bucket", "a/b.txt"),
        ("obs://bucket/a/", "bucket", "a/"),
        ("obs://bucket", "bucket", ""),
        ("obs://bucket/", "bucket", ""),
        ("/bucket/a", "bucket", "a"),
        ("obs://home/a b#c%20", "home", "a b#c%20"),
        ("obs://bucket/训练/日志", "bucket", "训练/日志"),
        ("obs://bucket/a..b/...", "bucket", "a..b/..."),
    ],
)
def test_a_path_is_bucket_and_key(text, bucket, key):
    path = parse("url", text)
    assert (path.bucket, path.key) == (bucket, key)
    assert parse("url", path.url) == path


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "a path in OBS"),
        (None, "a path in OBS"),
        (b"obs://bucket/", "a path in OBS"),
        (pathlib.PurePosixPath("obs://bucket/a"), "a path in OBS"),
        ("logs/run", "not one on this machine"),
        ("./logs", "not one on this machine"),
        ("~/logs", "not one on this machine"),
        ("C:\\Users\\ann", "not one on this machine"),
        ("C:/Users/ann", "not one on this machine"),
        ("\\\\server\\share", "not one on this machine"),
        ("s3://bucket/a", "beginning with obs://"),
        ("file:///tmp/a", "beginning with obs://"),
        ("https://bucket.obs.cn-north-4.myhuaweicloud.com/a", "beginning with obs://"),
        ("obs:/bucket/a", "beginning with obs://"),
        ("OBS://bucket/a", "beginning with obs://"),
        ("obs://", "bucket's name"),
        ("obs:///a", "bucket's name"),
        ("/", "bucket's name"),
        ("obs://..", "bucket's name"),
        ("obs://a b/c", "bucket's name"),
        ("obs://bucket\\a", "bucket's name"),
        ("obs://bucket/../a", "without '.' and '..'"),
        ("obs://bucket/a/..", "without '.' and '..'"),
        ("obs://bucket/./a", "without '.' and '..'"),
        ("obs://bucket//a", "without '//'"),
        ("obs://bucket/a//", "without '//'"),
        ("obs://bucket/a\\b", "with '/' and not"),
        ("obs://bucket/a\nb", "control characters"),
        ("obs://bucket/" + "é" * 513, "1024 bytes"),
        ("obs://bucket/\ud800", "1024 bytes"),
    ],
)
def test_what_is_no_path_in_obs_is_one_clear_error(value, said):
    with pytest.raises(InvalidArgument) as caught:
        parse("dst_obs_dir", value)
    assert str(caught.value).startswith("dst_obs_dir must be a path in OBS")
    assert said in str(caught.value)


def test_a_folder_of_this_machine_is_not_taken_for_a_bucket(tmp_path):
    top = tmp_path.parts[1]
    with pytest.raises(InvalidArgument, match="/%s is a folder of this machine" % top):
        parse("dst_obs_dir", str(tmp_path))
    assert parse("dst_obs_dir", "obs:/%s" % tmp_path).bucket == top
    assert parse("bucket_path", str(tmp_path), older=True).bucket == top


def test_the_older_calls_take_a_bucket_without_a_slash_before_it():
    assert parse("bucket_path", "bucket/a", older=True) == ObsPath("bucket", "a")
    for mistake in ("./a", "../a", "~/a", "C:\\a", "s3://bucket/a"):
        with pytest.raises(InvalidArgument):
            parse("bucket_path", mistake, older=True)


@pytest.mark.parametrize(
    ("value", "local"),
    [
        ("runs/", True),
        ("./runs", True),
        ("../runs", True),
        ("~/runs", True),
        (".", True),
        (pathlib.Path("/home/ann/runs"), True),
        ("C:\\runs", True),
        ("C:/runs", True),
        ("/bucket/path/", False),
        ("obs://bucket/path/", False),
        ("s3://bucket/path/", False),
        ("", False),
        (None, False),
        (5, False),
    ],
)
def test_train_url_without_slash_or_scheme_is_local(value, local):
    """A train url is local unless it begins with a slash or a scheme."""
    assert is_local(value) is local


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("../a", "'..'"),
        ("a/../../b", "'..'"),
        ("/etc/passwd", "''"),
        ("a//b", "''"),
        ("./a", "'.'"),
        ("a\0b", "NUL"),
        ("x" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"),
    ],
)
def test_a_key_that_leads_elsewhere_or_fits_no_file_is_refused(key, said):
    with pytest.raises(ValueError, match=said):
        local_segments(key)


@pytest.mark.parametrize(
    "key", ["a:b", "a\\b", "..\\b", "con", "NUL.txt", "a.", "a ", "x/aux/y", "a?", "a\nb"]
)
def test_what_windows_cannot_name_is_refused_there_only(key):
    assert local_segments(key, windows=False)
    with pytest.raises(ValueError, match="Windows has no file"):
        local_segments(key, windows=True)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=60))
def test_no_key_leads_out_of_its_folder(key):
    try:
        segments = local_segments(key)
    except ValueError:
        return
    inside = os.path.join("/base", *segments)
    assert os.path.normpath(inside) == inside
    assert inside.startswith("/base/")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_path_is_understood_or_refused_and_nothing_else(text):
    try:
        path = parse("url", "obs://bucket/" + text)
    except InvalidArgument:
        return
    assert path.url == "obs://bucket/" + text
