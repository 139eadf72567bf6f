"""Files that a board must not read, and links to them."""

import os
import socket

MARK = "of-somebody-else-0123456789"
#: Of other boards and of the OBS API, as they lie in the root of a service.
_OF_OTHERS = (
    "cache/2-other/events.out.tfevents.1",
    "mindinsight/board-other/log",
    "uploads/part",
    "buckets.json.former",
)


def make_targets(service):
    """Write MARK into files outside of the folder of a board; returns the paths of 20 targets."""
    root = service.root
    other = root / "obs" / "other" / "secret.txt"
    others = [root / name for name in _OF_OTHERS]
    for path in (other, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MARK)
    for log in ("service.log", "logs/job-1.log"):
        with open(str(root / log), "a") as file:
            file.write(MARK + "\n")
    fifo, sock = root / "fifo", root / "socket"
    os.mkfifo(str(fifo))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(str(sock)))
    targets = [
        *(root / name for name in ("users.json", "jobs.sqlite", "service.json")),
        *(root / name for name in ("service.log", "logs/job-1.log")),
        *("/etc/passwd", "/etc/hostname", "/proc/self/environ", "/dev/zero"),
        *("/proc/%d/environ" % service.process.pid, "/proc/%d/maps" % service.process.pid),
        *(other, fifo, sock, root, "/etc"),
        *others,
    ]
    assert len(targets) == 20
    return [str(target) for target in targets]


def secrets_of(service, targets):
    """Pieces of each target that can be read by the owner of the service."""
    pieces = {MARK.encode(), service.connection["secret_key"].encode()}
    for target in targets:
        # The logs of the service name the board's own folder, as the board does.
        if os.path.isfile(target) and not target.startswith("/proc") and ".log" not in target:
            with open(target, "rb") as file:
                content = file.read(100_000).strip()
            # A shorter piece could stand anywhere by chance.
            pieces.update(content[at : at + 24] for at in range(0, len(content) - 24, 997))
    return [piece for piece in pieces if piece.strip(b"\0 \n")]
