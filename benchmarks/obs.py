"""``python -m benchmarks obs``: what bringing files to OBS costs, next to the clients for it.

All peers send to the same sink on the loopback address, take turns round by round in one process,
and use the same number of threads. Wall-clock time; the ratio is of rates, within a round.
"""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional

from benchmarks import sink
from benchmarks.rounds import ROOT

__all__ = ["main"]

FILES, SMALL, LARGE = 200, 50_000, 200_000_000
HUGE, CUT, CUTS = 10 * 2**30, 2 * 2**30, 50
THREADS = 8
_AK, _SK = "QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"


def main(rounds: int) -> None:
    """Measure and print."""
    with sink.running() as url, tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, AWS_EC2_METADATA_DISABLED="true")
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
        _small(url, home, rounds)
        _large(url, home, rounds)
        for row in ("memory", "cuts"):
            program = "from benchmarks import obs; obs.%s(%r)" % (row, url)
            subprocess.run([sys.executable, "-c", program], cwd=str(ROOT), check=True)


# Clients ----------------------------------------------------------------------------------


def _store(url: str) -> Any:
    from modelarts.obs.objects import ObsStore
    from modelarts.session import Session

    session = Session(
        access_key=_AK,
        secret_key=_SK,
        project_id="p",
        region_name="eu-de",
        obs_endpoint=url,
        proxies={},
    )
    return ObsStore(session.get_obs_client(max_retry_count=0), session.clock)


def _official(url: str) -> Any:
    from obs import ObsClient

    return ObsClient(
        _AK, _SK, server=url, long_conn_mode=True, is_signature_negotiation=False, signature="v4"
    )


def _md5(path: str) -> str:
    import base64
    import hashlib

    with open(path, "rb") as file:
        return base64.b64encode(hashlib.md5(file.read()).digest()).decode()


# Rows -------------------------------------------------------------------------------------


def _small(url: str, home: str, rounds: int) -> None:
    from obs import PutObjectHeader

    from modelarts.obs.transfers import Task, run

    paths = []
    for number in range(FILES):
        paths.append(os.path.join(home, "small-%d" % number))
        with open(paths[-1], "wb") as file:
            file.write(os.urandom(SMALL))
    store, official = _store(url), _official(url)

    def task(path: str) -> Task:
        name = os.path.basename(path)
        return Task(path, lambda progress: store.upload(path, "b", name, progress), SMALL)

    def put(path: str) -> None:
        assert official.putFile("b", os.path.basename(path), path).status == 200

    def put_verified(path: str) -> None:
        headers = PutObjectHeader(md5=_md5(path))
        name = os.path.basename(path)
        assert official.putFile("b", name, path, headers=headers).status == 200

    def pool(put_one: Callable[[str], None], threads: int) -> Callable[[], None]:
        def call() -> None:
            with ThreadPoolExecutor(threads) as workers:
                list(workers.map(put_one, paths))

        return call

    what = "%d files of 50 KB, %d threads" % (FILES, THREADS)
    ours = "modelarts"
    spent = _turns(
        rounds,
        {
            ours: lambda: run(map(task, paths), THREADS),
            "checked": pool(put_verified, THREADS),
            "plain": pool(put, THREADS),
        },
    )
    _row(what, "ObsClient.putFile with md5=", spent[ours], spent["checked"], 0.9)
    _row(what, "ObsClient.putFile, no checksum", spent[ours], spent["plain"], None)
    _stats(url, "wait=0.02")
    spent = _turns(
        max(2, rounds // 4),
        {
            ours: lambda: run(map(task, paths)),
            "one": lambda: run(map(task, paths), 1),
            "plain": pool(put, 32),
        },
    )
    _stats(url, "wait=0")
    what = "the same, 20 ms a request"
    _row(what, "one after the other", spent[ours], spent["one"], 12)
    _row(what, "ObsClient.putFile, 32 threads", spent[ours], spent["plain"], None)


def _large(url: str, home: str, rounds: int) -> None:
    path = os.path.join(home, "large")
    with open(path, "wb") as file:
        for _ in range(LARGE // 1_000_000):
            file.write(os.urandom(1_000_000))
    from obs import CompleteMultipartUploadRequest, CompletePart, PutObjectHeader

    store, official = _store(url), _official(url)

    def parts(checked: bool) -> None:
        upload = official.initiateMultipartUpload("b", "large").body.uploadId
        size = 8 * 2**20

        def send(number: int) -> Any:
            answer = official.uploadPart(
                "b",
                "large",
                number + 1,
                upload,
                path,
                isFile=True,
                partSize=min(size, LARGE - number * size),
                offset=number * size,
                isAttachMd5=checked,
            )
            return CompletePart(number + 1, answer.body.etag)

        with ThreadPoolExecutor(4) as workers:
            done = list(workers.map(send, range(-(-LARGE // size))))
        wanted = CompleteMultipartUploadRequest(done)
        assert official.completeMultipartUpload("b", "large", upload, wanted).status == 200

    def upload_file() -> None:
        answer = official.uploadFile("b", "large", path, partSize=8 * 2**20, taskNum=4)
        assert answer.status == 200

    def put_file() -> None:
        headers = PutObjectHeader(md5=_md5(path))
        assert official.putFile("b", "large", path, headers=headers).status == 200

    peers: Dict[str, Callable[[], object]] = {
        "modelarts": lambda: store.upload(path, "b", "large"),
        "ObsClient.uploadPart(isAttachMd5), 4 threads": lambda: parts(True),
        "ObsClient.putFile with md5=": put_file,
        "ObsClient.uploadPart, 4 threads, no checksum": lambda: parts(False),
        "ObsClient.uploadFile, 4 tasks, no checksum": upload_file,
        "ObsClient.putFile, no checksum": lambda: official.putFile("b", "large", path),
    }
    with contextlib.suppress(ImportError):
        import boto3

        s3 = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=_AK,
            aws_secret_access_key=_SK,
            region_name="eu-de",
        )
        peers["boto3 upload_file"] = lambda: s3.upload_file(path, "b", "large")
    spent = _turns(rounds, peers)
    least = {
        "ObsClient.uploadPart(isAttachMd5), 4 threads": 0.9,
        "ObsClient.putFile with md5=": 0.9,
        "boto3 upload_file": 1.5,
    }
    for name in list(peers)[1:]:
        _row("one file of 200 MB", name, spent["modelarts"], spent[name], least.get(name))


def memory(url: str) -> None:
    """How much more memory is held at the most while a file of 10 GB is sent."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        store = _store(url)
        path = os.path.join(home, "huge")
        for size in (50_000, HUGE):
            with open(path, "wb") as file:
                file.truncate(size)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            began = time.perf_counter()
            store.upload(path, "b", "huge")
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        seconds = time.perf_counter() - began
        verdict = "ok" if more <= 150e6 else "MISSED"
        text = "memory while 10 GB are sent: %.1f MB above idle, at most 150 (%.0f s)  %s"
        print(text % (more / 1e6, seconds, verdict), flush=True)


def cuts(url: str, seed: int = 20261121) -> None:
    """How much is sent again where the connection is cut 50 times in 2 GB."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        path = os.path.join(home, "cut")
        with open(path, "wb") as file:
            for number in range(CUT // 2**20):
                file.write(b"%08d" % number * 2**17)
        for everything in (0, 1):
            query = "cuts=%d&seed=%d&over=%d&all=%d" % (CUTS, seed, CUT, everything)
            _stats(url, query)
            _store(url).upload(path, "b", "cut")
            stats = _stats(url, "wait=0")
            again = stats["received"] / CUT - 1
            whole = stats["size"] == CUT
            print(
                "%d cuts of %s in 2 GB (seed %d): %s, %.2f %% sent again, at most 5  %s"
                % (
                    stats["cut"],
                    "all connections" if everything else "a connection",
                    seed,
                    "whole" if whole else "NOT WHOLE",
                    again * 100,
                    "ok" if whole and again <= 0.05 else "MISSED",
                ),
                flush=True,
            )


# How --------------------------------------------------------------------------------------


def _turns(rounds: int, peers: Dict[str, Callable[[], object]]) -> Dict[str, List[float]]:
    names = list(peers)
    spent: Dict[str, List[float]] = {name: [] for name in names}
    for name in names:
        peers[name]()
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            began = time.perf_counter()
            peers[name]()
            spent[name].append(time.perf_counter() - began)
    return spent


def _row(
    what: str, against: str, ours: List[float], theirs: List[float], least: Optional[float]
) -> None:
    ratios = sorted(b / a for a, b in zip(ours, theirs))
    middle = statistics.median(ratios)
    verdict = "" if least is None else "ok" if middle >= least else "MISSED"
    print(
        "%-30s %7.1f ms   %-46s %7.1f ms  rate %5.2f  %.2f-%.2f  %s"
        % (
            what,
            statistics.median(ours) * 1e3,
            against,
            statistics.median(theirs) * 1e3,
            middle,
            ratios[len(ratios) // 4],
            ratios[-1 - len(ratios) // 4],
            verdict if least is None else "at least %s: %s" % (least, verdict),
        ),
        flush=True,
    )


def _stats(url: str, query: str = "") -> Dict[str, Any]:
    with urllib.request.urlopen("%s/-/stats?%s" % (url, query)) as answer:
        found: Dict[str, Any] = json.load(answer)
        return found
