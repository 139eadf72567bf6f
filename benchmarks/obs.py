"""``python -m benchmarks obs``: what bringing files to OBS costs, next to the clients for it.

All peers send to the same sink on the loopback address, and take turns round by round in one
process. Wall-clock time and the CPU time of that process; ``rate`` is ours divided by theirs,
by the clock, within a round.
"""

import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, NamedTuple, Tuple
from urllib.parse import urlsplit

from benchmarks.harness import sink
from benchmarks.harness.rounds import ROOT
from tests.servers.served import memory as held

__all__ = ["main"]

FILES, SMALL, LARGE = 200, 50_000, 200_000_000
HUGE, CUT, CUTS = 10 * 2**30, 2 * 2**30, 50
THREADS = 8
_LOAD = "load of the machine: %.1f, %.1f, %.1f"
_FORM = "%-30s %8s %8s   %-45s %8s %8s   %5s  %-11s  %s"
_AK, _SK = "QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"


def main(rounds: int) -> None:
    """Measure and print."""
    with sink.running() as url, tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, AWS_EC2_METADATA_DISABLED="true")
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
        print(_LOAD % os.getloadavg())
        print(_FORM % ("what", "takes", "CPU", "against", "takes", "CPU", "rate", "quartiles", ""))
        _small(url, home, rounds)
        _large(url, home, rounds)
        for row in ("memory", "cuts"):
            program = "from benchmarks import obs; obs.%s(%r)" % (row, url)
            subprocess.run([sys.executable, "-c", program], cwd=str(ROOT), check=True)
        print(_LOAD % os.getloadavg())


# Clients ----------------------------------------------------------------------------------


def _session(url: str) -> Any:
    from modelarts.session import Session

    return Session(
        access_key=_AK,
        secret_key=_SK,
        project_id="p",
        region_name="eu-de",
        obs_endpoint=url,
        proxies={},
    )


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

    from modelarts.obs.executor import Task, run

    folder = os.path.join(home, "small")
    os.mkdir(folder)
    paths = []
    for number in range(FILES):
        paths.append(os.path.join(folder, "%d" % number))
        with open(paths[-1], "wb") as file:
            file.write(os.urandom(SMALL))
    session, official = _session(url), _official(url)
    store = session.obs.calls.store

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

    peers = {
        "modelarts": lambda: run(map(task, paths), THREADS),
        "ObsClient.putFile": pool(put, THREADS),
        "ObsClient.putFile with md5=": pool(put_verified, THREADS),
        "session.obs.upload_dir": lambda: session.obs.upload_dir(
            folder, "obs://b/", threads=THREADS, progress=False
        ),
        "plain sockets": lambda: _pushed(url, paths, THREADS),
    }
    spent = _turns(rounds, peers)
    what = "%d files of 50 KB, %d threads" % (FILES, THREADS)
    _rows(what, spent, {"ObsClient.putFile": 0.9})
    _stats(url, "wait=0.02")
    peers = {
        "modelarts": lambda: run(map(task, paths)),
        "one after the other": lambda: run(map(task, paths), 1),
        "ObsClient.putFile, 32 threads": pool(put, 32),
    }
    spent = _turns(max(2, rounds // 4), peers)
    _stats(url, "wait=0")
    _rows("the same, 20 ms a request", spent, {"one after the other": 12})


def _large(url: str, home: str, rounds: int) -> None:
    path = os.path.join(home, "large")
    with open(path, "wb") as file:
        for _ in range(LARGE // 1_000_000):
            file.write(os.urandom(1_000_000))
    from obs import CompleteMultipartUploadRequest, CompletePart, PutObjectHeader

    store, official = _session(url).obs.calls.store, _official(url)

    def parts() -> None:
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
                isAttachMd5=True,
            )
            return CompletePart(number + 1, answer.body.etag)

        with ThreadPoolExecutor(4) as workers:
            done = list(workers.map(send, range(-(-LARGE // size))))
        wanted = CompleteMultipartUploadRequest(done)
        assert official.completeMultipartUpload("b", "large", upload, wanted).status == 200

    def upload_file(**settings: Any) -> None:
        assert official.uploadFile("b", "large", path, **settings).status == 200

    def put_file(**settings: Any) -> None:
        assert official.putFile("b", "large", path, **settings).status == 200

    peers: Dict[str, Callable[[], object]] = {
        "modelarts": lambda: store.upload(path, "b", "large"),
        "ObsClient.uploadFile": upload_file,
        "ObsClient.uploadFile, taskNum=4": lambda: upload_file(partSize=8 * 2**20, taskNum=4),
        "ObsClient.uploadFile, isAttachCrc64": lambda: upload_file(isAttachCrc64=True),
        "ObsClient.putFile": put_file,
        "ObsClient.putFile with md5=": lambda: put_file(headers=PutObjectHeader(md5=_md5(path))),
        "ObsClient.uploadPart, isAttachMd5, 4 threads": parts,
        "plain socket": lambda: _pushed(url, [path], 1),
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
    least = {"ObsClient.uploadFile": 0.9, "boto3 upload_file": 1.5}
    _rows("one file of 200 MB", spent, least)


def memory(url: str) -> None:
    """How much more memory is held at the most while a file of 10 GB is sent."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        store = _session(url).obs.calls.store
        path = os.path.join(home, "huge")
        with open(path, "wb") as file:
            file.truncate(SMALL)
        store.upload(path, "b", "huge")
        os.truncate(path, HUGE)
        idle, before = held([os.getpid()]), _most()
        seen: List[int] = []
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(0.05):
                seen.append(held([os.getpid()]))

        looking = threading.Thread(target=look)
        looking.start()
        began = time.perf_counter()
        store.upload(path, "b", "huge")
        seconds = time.perf_counter() - began
        ended.set()
        looking.join()
        more = max(seen) - idle
        print(
            "memory while 10 GB are sent: %.1f MB held before, %.1f MB more at the most of %d looks"
            " (PSS), %.1f MB more by ru_maxrss, at most 150 (%.0f s)  %s"
            % (
                idle / 1e6,
                more / 1e6,
                len(seen),
                (_most() - before) / 1e6,
                seconds,
                "ok" if more <= 150e6 else "MISSED",
            ),
            flush=True,
        )


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cuts(url: str, seed: int = 20261121) -> None:
    """How much is sent again where the connection is cut 50 times in 2 GB."""
    from modelarts.obs.checksums import md5_of

    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        path = os.path.join(home, "cut")
        with open(path, "wb") as file:
            for number in range(CUT // 2**20):
                file.write(b"%08d" % number * 2**17)
        for everything in (0, 1):
            query = "cuts=%d&seed=%d&over=%d&all=%d" % (CUTS, seed, CUT, everything)
            _stats(url, query)
            _session(url).obs.calls.store.upload(path, "b", "cut")
            stats = _stats(url, "wait=0")
            again = stats["received"] / CUT - 1
            # Read once more, apart from the upload: of each part that the sink holds, in order.
            sums = [digest.hex() for digest in md5_of(path, [size for _, size in stats["parts"]])]
            equal = stats["size"] == CUT and sums == [etag for etag, _ in stats["parts"]]
            print(
                "%d cuts of %s in 2 GB (seed %d): %s, %.2f %% sent again, at most 5  %s"
                % (
                    stats["cut"],
                    "all connections" if everything else "a connection",
                    seed,
                    "whole, checksum equal" if equal else "NOT WHOLE",
                    again * 100,
                    "ok" if equal and again <= 0.05 else "MISSED",
                ),
                flush=True,
            )


# How --------------------------------------------------------------------------------------


def _pushed(url: str, paths: List[str], threads: int) -> None:
    """Send files by ``sendfile``, over one connection for each thread: what the sink can take."""
    parts = urlsplit(url)

    def push(some: List[str]) -> None:
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for path in some:
                head = "PUT /b/k HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
                connection.sendall((head % os.path.getsize(path)).encode())
                with open(path, "rb") as file:
                    connection.sendfile(file)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")

    with ThreadPoolExecutor(threads) as workers:
        list(workers.map(push, [paths[number::threads] for number in range(threads)]))


class _Spent(NamedTuple):
    """Seconds: by the clock, and of the processor, user and system, all threads together."""

    wall: float
    cpu: float


_Turns = Dict[str, List[_Spent]]


def _turns(rounds: int, peers: Dict[str, Callable[[], object]]) -> _Turns:
    names = list(peers)
    spent: _Turns = {name: [] for name in names}
    for name in names:
        peers[name]()
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            wall, cpu = time.perf_counter(), time.process_time()
            peers[name]()
            spent[name].append(_Spent(time.perf_counter() - wall, time.process_time() - cpu))
    return spent


def _rows(what: str, spent: _Turns, least: Dict[str, float]) -> None:
    """One row for each peer; the first one is who is compared with them."""
    ours, *others = spent
    for name in others:
        pairs = list(zip(spent[ours], spent[name]))
        ratios = sorted(theirs.wall / own.wall for own, theirs in pairs)
        middle, wanted = statistics.median(ratios), least.get(name)
        verdict = ""
        if wanted is not None:
            verdict = "at least %s: %s" % (wanted, "ok" if middle >= wanted else "MISSED")
        print(
            _FORM
            % (
                what,
                *_medians([own for own, _ in pairs]),
                name,
                *_medians([theirs for _, theirs in pairs]),
                "%.2f" % middle,
                "%.2f-%.2f" % (ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]),
                verdict,
            ),
            flush=True,
        )


def _medians(spent: List[_Spent]) -> Tuple[str, str]:
    walls, cpus = zip(*spent)
    return "%.0f ms" % (statistics.median(walls) * 1e3), "%.0f ms" % (statistics.median(cpus) * 1e3)


def _stats(url: str, query: str = "") -> Dict[str, Any]:
    with urllib.request.urlopen("%s/-/stats?%s" % (url, query)) as answer:
        found: Dict[str, Any] = json.load(answer)
        return found
