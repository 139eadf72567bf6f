"""Buckets of a service with several users: which project reaches which."""

import json
import os
import sys
from uuid import UUID

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from tensorboardX import SummaryWriter

from modelarts.cli import main
from modelarts.errors import (
    AmbiguousCreate,
    ConfigurationError,
    NotFound,
    PermissionDenied,
)
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.identity.buckets import EVERYONE, Access, Bucket, Buckets, BucketsFile
from modelarts.local.identity.users_file import edit, read
from modelarts.local.logs.mounts import mount
from modelarts.local.obs_api.handlers import _MODES, _OBJECT_MODES
from modelarts.session import Session
from tests.servers.service import SECRETS, Service
from tests.support.races import exchanged

pytestmark = pytest.mark.local

BODY = b"what bob wrote"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A service of ann and bob, who are in team-a, and cem, with the OBS API."""
    folder = tmp_path_factory.mktemp("shared")
    path = folder / "users.json"

    def change(users):
        users = users.with_user("local").with_user("ann", ("team-a",))
        users = users.with_user("bob", ("team-a",)).with_user("cem")
        return users.with_password("ann", "the password of ann")

    users = edit(path, change)
    SECRETS.update((users.token_key, *(user.key.secret_key for user in users.by_name.values())))
    (folder / "mounted").mkdir()
    mount = "--mount=mounted=%s" % (folder / "mounted")
    service = Service(folder / "root", "--users", str(path), "--obs-api", mount)
    service.users = path
    yield service
    assert service.end() == 0
    assert not [line for line in service.log if line and "Traceback" in line]


@pytest.fixture
def connect(shared):
    """Makes the session of a user with keys, and removes its jobs afterwards."""
    opened = []

    def make(name, **settings):
        key = read(shared.users).by_name[name].key
        session = Session(
            access_key=key.access_key,
            secret_key=key.secret_key,
            region_name="local-1",
            **shared.endpoints(),
            **settings,
        )
        opened.append(session)
        return session

    yield make
    for session in opened:
        for job in VisualizationJob.iter(session):
            job.delete()
        session.close()


@pytest.fixture
def client(shared):
    """Makes the S3 client of a user."""
    return lambda name: s3(shared, read(shared.users).by_name[name].key)


def s3(service, key, token=None):
    return boto3.client(
        "s3",
        endpoint_url=service.connection["obs_http_endpoint"],
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key,
        aws_session_token=token,
        region_name="local-1",
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@pytest.fixture
def bucket(shared, client):
    """A bucket of bob's with one object."""
    name = "bobs-" + os.urandom(6).hex()
    client("bob").create_bucket(Bucket=name)
    client("bob").put_object(Bucket=name, Key="logs/a", Body=BODY)
    return name


def refused(call, code="AccessDenied", **given):
    with pytest.raises(ClientError) as raised:
        call(**given)
    assert raised.value.response["Error"]["Code"] == code


def change(shared, function):
    BucketsFile(shared.root).edit(function)


def project_of(shared, name):
    return read(shared.users).by_name[name].projects[0].project_id


def url(bucket):
    return "/%s/logs/" % bucket


# The OBS API ------------------------------------------------------------------------------


CALLS = {
    "list_objects": lambda c, b, u: c.list_objects(Bucket=b),
    "head_bucket": lambda c, b, u: c.head_bucket(Bucket=b),
    "delete_bucket": lambda c, b, u: c.delete_bucket(Bucket=b),
    "delete_objects": lambda c, b, u: c.delete_objects(
        Bucket=b, Delete={"Objects": [{"Key": "logs/a"}]}
    ),
    "list_uploads": lambda c, b, u: c.list_multipart_uploads(Bucket=b),
    "get_object": lambda c, b, u: c.get_object(Bucket=b, Key="logs/a"),
    "put_object": lambda c, b, u: c.put_object(Bucket=b, Key="logs/a", Body=b"other"),
    "delete_object": lambda c, b, u: c.delete_object(Bucket=b, Key="logs/a"),
    "begin_upload": lambda c, b, u: c.create_multipart_upload(Bucket=b, Key="new"),
    "put_part": lambda c, b, u: c.upload_part(
        Bucket=b, Key="parts", UploadId=u, PartNumber=1, Body=b"other"
    ),
    "list_parts": lambda c, b, u: c.list_parts(Bucket=b, Key="parts", UploadId=u),
    "complete_upload": lambda c, b, u: c.complete_multipart_upload(
        Bucket=b,
        Key="parts",
        UploadId=u,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "a" * 32}]},
    ),
    "abort_upload": lambda c, b, u: c.abort_multipart_upload(Bucket=b, Key="parts", UploadId=u),
}


def test_calls_are_all_of_the_api():
    modes = {mode for mode, _ in (*_MODES.values(), *_OBJECT_MODES.values())}
    assert set(CALLS) == modes - {"create_bucket"}


@pytest.mark.parametrize("mode", CALLS)
def test_call_on_bucket_of_others_is_refused(client, bucket, mode):
    bob = client("bob")
    upload = bob.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    bob.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=BODY)
    with pytest.raises(ClientError) as raised:
        CALLS[mode](client("ann"), bucket, upload)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert [each["Key"] for each in bob.list_objects(Bucket=bucket)["Contents"]] == ["logs/a"]
    assert bob.get_object(Bucket=bucket, Key="logs/a")["Body"].read() == BODY
    (part,) = bob.list_parts(Bucket=bucket, Key="parts", UploadId=upload)["Parts"]
    assert part["Size"] == len(BODY)


def test_reader_cannot_write_and_writer_cannot_delete_bucket(shared, client, bucket):
    reading = {"list_objects", "head_bucket", "get_object"}
    ann, bob = client("ann"), client("bob")
    upload = bob.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    anns = project_of(shared, "ann")
    change(shared, lambda buckets: buckets.shared(bucket, anns, Access.READ))
    for mode, call in CALLS.items():
        if mode in reading:
            call(ann, bucket, upload)
        else:
            refused(call, c=ann, b=bucket, u=upload)
    change(shared, lambda buckets: buckets.shared(bucket, anns, Access.WRITE))
    CALLS["put_object"](ann, bucket, upload)
    assert bob.get_object(Bucket=bucket, Key="logs/a")["Body"].read() == b"other"
    refused(CALLS["delete_bucket"], c=ann, b=bucket, u=upload)
    refused(CALLS["get_object"], c=client("cem"), b=bucket, u=upload)
    change(shared, lambda buckets: buckets.shared(bucket, anns, Access.NONE))
    refused(CALLS["get_object"], c=ann, b=bucket, u=upload)


def test_copy_from_bucket_of_others_is_refused(client, bucket):
    ann = client("ann")
    ann.create_bucket(Bucket="anns-" + bucket)
    source = {"Bucket": bucket, "Key": "logs/a"}
    refused(ann.copy_object, Bucket="anns-" + bucket, Key="stolen", CopySource=source)
    assert "Contents" not in ann.list_objects(Bucket="anns-" + bucket)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot hold a folder's path")
def test_link_that_comes_and_goes_leads_nowhere(shared, client, bucket):
    """Ann writes to her bucket's folder by other means, too, and races with the service."""
    ann, own, body = client("ann"), "anns-" + bucket, b"what ann wrote"
    ann.create_bucket(Bucket=own)
    ann.put_object(Bucket=own, Key="logs/a", Body=body)
    client("bob").put_object(Bucket=bucket, Key="logs/only-bobs", Body=BODY)
    read, listed, refusals = set(), set(), set()
    with exchanged(shared.root / "obs" / own / "logs", shared.root / "obs" / bucket / "logs"):
        for number in range(150):
            try:
                ann.put_object(Bucket=own, Key="logs/%d" % number, Body=body)
                listed.update(e["Key"] for e in ann.list_objects(Bucket=own).get("Contents", ()))
                read.add(ann.get_object(Bucket=own, Key="logs/a")["Body"].read())
                ann.delete_object(Bucket=own, Key="logs/%d" % number)
            except ClientError as error:
                refusals.add(error.response["Error"]["Code"])
    assert (read, "AccessDenied" in refusals) == ({body}, True)
    assert refusals <= {"AccessDenied", "NoSuchKey"}
    assert [key for key in listed if key.endswith("only-bobs")] == []
    bobs = client("bob").list_objects(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in bobs] == ["logs/a", "logs/only-bobs"]
    assert client("bob").get_object(Bucket=bucket, Key="logs/a")["Body"].read() == BODY


def test_list_shows_buckets_that_the_caller_reads(shared, client, bucket):
    def names(user):
        return {each["Name"] for each in client(user).list_buckets()["Buckets"]}

    assert bucket in names("bob")
    assert bucket not in names("ann")
    change(shared, lambda buckets: buckets.shared(bucket, EVERYONE, Access.READ))
    assert bucket in names("ann") & names("cem")


def test_name_of_existing_bucket_is_taken(client, bucket):
    refused(client("bob").create_bucket, "BucketAlreadyOwnedByYou", Bucket=bucket)
    refused(client("ann").create_bucket, "BucketAlreadyExists", Bucket=bucket)


def test_deleted_bucket_leaves_its_name_to_anyone(client, bucket):
    bob, ann = client("bob"), client("ann")
    bob.delete_object(Bucket=bucket, Key="logs/a")
    bob.delete_bucket(Bucket=bucket)
    ann.create_bucket(Bucket=bucket)
    refused(bob.list_objects, Bucket=bucket)


def test_bucket_without_owner_belongs_to_first_user(shared, client):
    (shared.root / "obs" / "by-hand").mkdir()
    refused(client("ann").list_objects, Bucket="by-hand")
    refused(client("ann").create_bucket, "BucketAlreadyExists", Bucket="by-hand")
    assert client("local").list_objects(Bucket="by-hand")["Name"] == "by-hand"


def test_new_bucket_takes_no_name_of_a_mount(client):
    refused(client("ann").create_bucket, "BucketAlreadyExists", Bucket="mounted")


def test_new_bucket_takes_no_name_in_another_case(shared, client):
    (shared.root / "obs" / "Upper-Case").mkdir()
    refused(client("ann").create_bucket, "BucketAlreadyExists", Bucket="upper-case")


def test_temporary_keys_reach_the_project_they_are_for(shared, client, connect):
    session = Session(
        account="local",
        username="ann",
        password="the password of ann",
        region_name="local-1",
        project_name="local-1_team-a",
        **shared.endpoints(),
    )
    with session:
        keys = session.keys()
    SECRETS.update((keys.secret_key, keys.security_token, "the password of ann"))
    team = s3(shared, keys, keys.security_token)
    team.create_bucket(Bucket="of-the-team")
    client("bob").put_object(Bucket="of-the-team", Key="a", Body=BODY)
    assert team.get_object(Bucket="of-the-team", Key="a")["Body"].read() == BODY
    refused(client("cem").list_objects, Bucket="of-the-team")
    client("ann").create_bucket(Bucket="of-ann")
    refused(team.list_objects, Bucket="of-ann")


# Jobs -------------------------------------------------------------------------------------


APIS = pytest.mark.parametrize("api", ["v1", "v2"])


@APIS
def test_job_over_bucket_of_others_is_refused(connect, bucket, api):
    with pytest.raises(PermissionDenied) as raised:
        VisualizationJob.create(url(bucket), session=connect("ann", api=api))
    assert raised.value.error_code == "ModelArts.0108"
    assert "modelarts buckets share %s" % bucket in str(raised.value)
    assert VisualizationJob.list(connect("ann")) == []


@APIS
def test_job_of_another_project_is_not_there(connect, bucket, api):
    """Neither its details nor its log, whose paths are of files."""
    job = VisualizationJob.create(url(bucket), session=connect("bob", api=api)).wait()
    ann = connect("ann", api=api)
    for call in (lambda: VisualizationJob.get(job.job_id, ann), lambda: _log_of(ann, job)):
        with pytest.raises(NotFound):
            call()
    with pytest.raises(PermissionDenied):
        _log_of(ann, job, project_of_job=job.session.project_id)
    assert "content" in _log_of(connect("bob", api=api), job)


def _log_of(session, job, project_of_job=None):
    name = str(job.job_id)
    job_id = str(UUID(int=int(name))) if name.isdigit() else name
    path = "/v2/%s/training-jobs/%s/tasks/worker-0/logs/preview"
    project_id = project_of_job or session.project_id
    return session.request("GET", path % (project_id, job_id))


@APIS
@pytest.mark.parametrize("name", ["by-hand-too", "mounted"])
def test_name_in_another_case_takes_no_bucket(shared, connect, client, name, api):
    """One that has no owner yet is the first user's, however another one spells it."""
    if name != "mounted":
        (shared.root / "obs" / name).mkdir(exist_ok=True)
    for spelling in (name, name.upper(), name.title()):
        with pytest.raises(PermissionDenied):
            VisualizationJob.create(url(spelling), session=connect("ann", api=api))
    VisualizationJob.create("/%s/" % name, session=connect("local", api=api)).wait()
    with pytest.raises(PermissionDenied):
        VisualizationJob.create(url(name), session=connect("ann", api=api))


@pytest.mark.parametrize("spelling", [str.upper, str.title])
def test_bucket_has_one_owner_in_any_case(connect, bucket, spelling):
    """File systems that ignore case would open it."""
    with pytest.raises(PermissionDenied):
        VisualizationJob.create(url(spelling(bucket)), session=connect("ann"))


def test_job_takes_a_bucket_that_does_not_exist(shared, connect, client):
    job = VisualizationJob.create("/taken-by-job/logs/", session=connect("ann"))
    with pytest.raises(PermissionDenied):
        VisualizationJob.create("/taken-by-job/logs/", session=connect("bob"))
    refused(client("bob").create_bucket, "BucketAlreadyExists", Bucket="taken-by-job")
    client("ann").create_bucket(Bucket="taken-by-job")
    assert job.wait().status == JobStatus.RUNNING


def test_members_share_the_buckets_of_their_project(connect):
    project = {"project_name": "local-1_team-a"}
    ann, bob = connect("ann", **project), connect("bob", **project)
    job = VisualizationJob.create("/teams-first/logs/", session=ann).wait()
    found = VisualizationJob.get(job.job_id, bob)
    found.stop().wait(until=JobStatus.KILLED)
    found.restart().wait()
    with pytest.raises(PermissionDenied):
        VisualizationJob.create("/teams-first/logs/", session=connect("cem"))


def test_member_shows_own_bucket_in_shared_project(connect, client):
    """The job reads by ann's access, so nobody else of the project can start it anew."""
    client("ann").create_bucket(Bucket="anns-own")
    project = {"project_name": "local-1_team-a"}
    ann, bob = connect("ann", **project), connect("bob", **project)
    job = VisualizationJob.create("/anns-own/logs/", session=ann).wait()
    assert requests.get(job.service_url, timeout=60).status_code == 200
    job.stop().wait(until=JobStatus.KILLED)
    with pytest.raises(PermissionDenied):
        VisualizationJob.get(job.job_id, bob).restart()
    job.restart().wait()


def test_board_closes_when_bucket_is_not_shared_any_more(shared, connect, bucket):
    with SummaryWriter(str(shared.root / "obs" / bucket / "logs" / "run")) as writer:
        writer.add_scalar("loss", 1.0, 1)
    anns = project_of(shared, "ann")
    change(shared, lambda buckets: buckets.shared(bucket, anns, Access.READ))
    job = VisualizationJob.create(url(bucket), session=connect("ann")).wait()
    runs = job.service_url + "data/runs"
    assert requests.get(runs, timeout=60).json() == ["run"]
    change(shared, lambda buckets: buckets.shared(bucket, anns, Access.NONE))
    answer = requests.get(runs, timeout=60)
    assert (answer.status_code, "run" in answer.text.split()) == (403, False)
    job.stop().wait(until=JobStatus.KILLED)
    with pytest.raises(PermissionDenied):
        job.restart()


def test_board_over_several_buckets_needs_them_all(shared, connect, client):
    """Such as one over trainings whose event files are in several buckets."""
    local = connect("local")
    names = ["several-" + os.urandom(4).hex() for _ in range(2)]
    for name in names:
        client("local").create_bucket(Bucket=name)
    folders = {name: str(shared.root / "obs" / name) for name in names}
    together = mount(str(shared.root), folders)
    job = VisualizationJob.create(together, session=local).wait()
    assert requests.get(job.service_url, timeout=60).status_code == 200
    with pytest.raises(PermissionDenied):
        VisualizationJob.create(together, session=connect("ann"))
    change(shared, lambda buckets: buckets.given(names[1], project_of(shared, "bob")))
    assert requests.get(job.service_url, timeout=60).status_code == 403
    with pytest.raises(PermissionDenied):
        VisualizationJob.create(together, session=local)


def test_owner_is_told_of_a_bucket_given_away(shared, connect, bucket):
    job = VisualizationJob.create(url(bucket), session=connect("bob")).wait()
    change(shared, lambda buckets: buckets.given(bucket, project_of(shared, "ann")))
    answer = requests.get(job.service_url, timeout=60)
    assert answer.status_code == 403
    assert "not shared with its project any more" in answer.text


# One user ---------------------------------------------------------------------------------


def test_single_user_reaches_all_and_keeps_it(tmp_path):
    """With a second user, buckets stay with the first."""
    path = tmp_path / "users.json"
    key = edit(path, lambda users: users.with_user("ann")).by_name["ann"].key
    root = tmp_path / "root"
    BucketsFile(root).edit(lambda buckets: buckets.given("foreign", "0" * 32))
    service = Service(root, "--users", str(path), "--obs-api")
    try:
        settings = {"region_name": "local-1", **service.endpoints()}
        keys = {"access_key": key.access_key, "secret_key": key.secret_key}
        for name in ("by-hand", "foreign"):
            (root / "obs" / name).mkdir()
        ann = s3(service, key)
        ann.create_bucket(Bucket="created")
        ann.put_object(Bucket="foreign", Key="a", Body=BODY)
        with Session(**keys, **settings) as session:
            for name in ("by-hand", "foreign", "not-there-yet"):
                VisualizationJob.create(url(name), session=session).wait()
            other = edit(path, lambda users: users.with_user("bob")).by_name["bob"].key
            SECRETS.update((key.secret_key, other.secret_key))
            assert [each["Name"] for each in ann.list_buckets()["Buckets"]] == [
                "by-hand",
                "created",
            ]
            bob = s3(service, other)
            assert bob.list_buckets()["Buckets"] == []
            for name in ("by-hand", "created", "foreign"):
                refused(bob.list_objects, Bucket=name)
            bobs = {"access_key": other.access_key, "secret_key": other.secret_key}
            with Session(**bobs, **settings) as second:
                for name in ("by-hand", "created", "foreign", "not-there-yet"):
                    with pytest.raises(PermissionDenied):
                        VisualizationJob.create(url(name), session=second)
    finally:
        assert service.end() == 0


# The file ---------------------------------------------------------------------------------


def test_file_is_private_and_read_back(tmp_path):
    file = BucketsFile(tmp_path)
    change = Buckets().given("b", "p").shared("b", "q", Access.WRITE).shared("c", "*", Access.READ)
    file.edit(lambda buckets: change)
    assert file.path.stat().st_mode & 0o777 == 0o600
    again = BucketsFile(tmp_path).current()
    assert again == change
    assert again.get("B") == Bucket("p", {"q": Access.WRITE})
    assert again.without("b").get("b") is None


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"version": 1}', '{"version": 1, "buckets": {"a": {"shared": 1}}}']
)
def test_file_without_sense_is_one_clear_error(tmp_path, text):
    path = tmp_path / "buckets.json"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"the owners of buckets cannot be read: .*json"):
        BucketsFile(tmp_path).current()


def test_owner_that_cannot_be_kept_is_not_told(shared, connect, client):
    """Nothing is made that would belong to nobody."""
    file = BucketsFile(shared.root).path
    before = file.read_text() if file.exists() else None
    file.unlink(missing_ok=True)
    file.mkdir()
    try:
        refused(client("ann").create_bucket, "InternalError", Bucket="not-kept")
        assert not (shared.root / "obs" / "not-kept").exists()
        with pytest.raises(AmbiguousCreate, match="its log says why"):
            VisualizationJob.create("/not-kept/logs/", session=connect("ann"))
        assert VisualizationJob.list(connect("ann")) == []
    finally:
        file.rmdir()
        if before is not None:
            file.touch(0o600)
            file.write_text(before)


# The command ------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, capsys):
    users = edit(tmp_path / "users.json", lambda u: u.with_user("local").with_user("a", ("t",)))
    SECRETS.update(user.key.secret_key for user in users.by_name.values())

    def call(*arguments):
        code = main(["buckets", *arguments, "--root", str(tmp_path)])
        return code, capsys.readouterr()

    return call


def test_buckets_are_listed_given_and_shared(run, tmp_path):
    for name in ("datasets", "runs"):
        (tmp_path / "obs" / name).mkdir(parents=True)
    code, printed = run("list")
    assert (code, printed.out.splitlines()) == (
        0,
        ["BUCKET    OWNER       SHARED WITH", "datasets  user local", "runs      user local"],
    )
    assert run("share", "datasets", "--everyone")[0] == 0
    assert run("share", "runs", "--user", "a", "--write")[0] == 0
    assert run("give", "obs://runs/", "--project", "local-1_t")[0] == 0
    code, printed = run("list")
    assert printed.out.splitlines()[1:] == [
        "datasets  user local  everyone (read)",
        "runs      project t   user a (write)",
    ]
    code, printed = run("unshare", "runs", "--user", "a", "--output", "json")
    shown = json.loads(printed.out)
    assert (shown["name"], shown["owner"], shown["shared"]) == ("runs", "project t", [])
    (first, _) = json.loads(run("list", "--output", "json")[1].out)
    assert first["shared"] == [{"with": "everyone", "access": "read"}]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("share", "b", "--user", "x"), "there are: local, a"),
        (("give", "b", "--project", "x"), "there are: t"),
        (("give", "b"), "one of the arguments --project --user is required"),
        (("share", "../b", "--everyone"), "is not the name of a bucket"),
    ],
)
def test_wrong_arguments_of_buckets_are_named(run, capsys, arguments, text):
    try:
        code, printed = run(*arguments)
    except SystemExit as ended:
        code, printed = ended.code, capsys.readouterr()
    assert code == 2
    assert text in printed.err
