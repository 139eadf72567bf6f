"""A PostgreSQL server of the tests: Debian's, in a temporary folder, on a Unix socket."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.served import descendants

__all__ = ["PostgresServer", "find_programs"]

#: Nothing that it keeps has to survive the machine.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def find_programs():
    """Return the folder with ``initdb`` and ``postgres``; None where there is no server."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


def _parent():
    """Return a folder for temporary files that another user can reach, too, as root needs one."""
    usual = Path(tempfile.gettempdir()).resolve()
    others = all(folder.stat().st_mode & stat.S_IXOTH for folder in (usual, *usual.parents))
    return str(usual) if others or os.geteuid() != 0 else "/tmp"


class PostgresServer:
    """A server of its own; without one its tests fail in ``.ci/run``, and are skipped elsewhere."""

    def __init__(self):
        programs = find_programs()
        if programs is None:
            text = "there is no PostgreSQL server: apt-get install postgresql"
            if os.environ.get("TESTS_NEED_POSTGRES"):
                pytest.fail(text)
            pytest.skip(text)
        self._programs = programs
        # A Unix socket has a short path.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=_parent()))
        self._made = 0
        self.user = "postgres"
        self._as_user = []
        if os.geteuid() == 0:  # it refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as_user = [
                "setpriv",
                "--reuid=%d" % account.pw_uid,
                "--regid=%d" % account.pw_gid,
                "--clear-groups",
            ]
        options = (
            "-D data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions"
        )
        self._run(["initdb", *options.split()])
        self.start()

    def start(self):
        """Start it, and return when it answers."""
        settings = " ".join("-c %s='%s'" % pair for pair in _SETTINGS.items())
        options = "%s -c unix_socket_directories='%s'" % (settings, self.folder)
        self._run(["pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", options, "start"])

    def stop(self, mode="immediate"):
        """Stop it; ``immediate`` is as a kill of all its processes."""
        self._run(["pg_ctl", "-D", "data", "-w", "-m", mode, "stop"])

    @contextmanager
    def silent(self):
        """Within this context it accepts connections and answers nothing."""
        (main, *_) = (self.folder / "data" / "postmaster.pid").read_text().split()
        pids = [int(main), *descendants(int(main))]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def remove(self):
        """Stop it, and remove all that it keeps."""
        self.stop()
        shutil.rmtree(self.folder)

    def database(self):
        """Return the address of a new, empty database."""
        self._made += 1
        name = "test%d" % self._made
        self.execute("CREATE DATABASE %s" % name)
        return self.address(name)

    def address(self, name, user="postgres"):
        """Return the address of a database."""
        return "postgresql://%s@/%s?host=%s" % (user, name, self.folder)

    def execute(self, sql, url=None):
        """Return the rows of a statement."""
        import psycopg

        with psycopg.connect(url or self.address("postgres"), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def _run(self, command):
        done = subprocess.run(
            [*self._as_user, str(self._programs / command[0]), *command[1:]],
            cwd=str(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        log = self.folder / "log"
        output = log.read_text()[-2000:] if log.exists() else ""
        assert done.returncode == 0, "%s: %s" % (command, output)
