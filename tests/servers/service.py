"""The local service as a process of its own, as a user starts it."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading

from modelarts.session import Session
from tests.servers.forkserver import ForkedCommand, needs_exec

#: That of the first user of all services that tests start.
PASSWORD = secrets.token_urlsafe(18)
#: As the users file has it, once it was made.
_HASHED = []
#: Those of all services that were started; no error of any test may hold one.
SECRETS = set()


class Service:
    """``modelarts serve`` on a folder; ``log`` collects what it writes.

    Args:
        environ: what is in its environment besides that of the tests.
        output: a file for its standard output.
        load_late: load TensorBoard with the first board, as most of these services have none.
        is_forked: fork it from a process that has imported the service, see
            ``tests.servers.forkserver``; False: start it as its user does, so that its command
            line and ``/proc/PID/environ`` are its own.
    """

    def __init__(self, root, *arguments, environ=None, output=None, load_late=True, is_forked=True):
        self.root = root
        self.log = []
        self._grown = threading.Condition()
        self._give_a_password()
        environ = {"MODELARTS_LOAD_LATE": "1" if load_late else "0", **(environ or {})}
        command = ["serve", "--root", str(root), *arguments]
        if is_forked and not any(map(needs_exec, environ)):
            self.process = ForkedCommand(command, environ, stdout=output)
        else:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modelarts", *command],
                env={**os.environ, **environ},
                stdout=output,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.said("serving ")
        found = self.connection
        SECRETS.update(found[name] for name in ("secret_key", "password") if name in found)

    def _give_a_password(self):
        if self.root.exists() and list(self.root.glob("users.json")):
            return
        # Here, since Pythons without the local service's packages import this module too.
        import attr

        from modelarts.local.identity.users import OWNER
        from modelarts.local.identity.users_file import edit, prepare

        def with_password(users):
            if not _HASHED:  # that takes as long as a guess is to take
                _HASHED.append(users.with_password(OWNER, PASSWORD).by_name[OWNER].password)
            user = attr.evolve(users.by_name[OWNER], password=_HASHED[0])
            return attr.evolve(users, by_name={**users.by_name, OWNER: user})

        self.root.mkdir(parents=True, exist_ok=True)
        edit(prepare(self.root), with_password)

    def _read(self):
        for line in self.process.stderr:
            with self._grown:
                self.log.append(line)
                self._grown.notify_all()
        with self._grown:
            self.log.append(None)
            self._grown.notify_all()

    def said(self, pattern, times=1):
        """Wait until so many lines of the log match; answers the last match."""

        def matches():
            found = [re.search(pattern, line) for line in self.log if line]
            return [match for match in found if match]

        with self._grown:
            came = self._grown.wait_for(
                lambda: len(matches()) >= times or None in self.log, timeout=60
            )
            assert came, self.log
            assert len(matches()) >= times, self.log
            return matches()[times - 1]

    @property
    def connection(self):
        """The content of service.json, and the password that only tests know."""
        found = json.loads((self.root / "service.json").read_text())
        return {**found, "password": PASSWORD} if "username" in found else found

    def session(self, **changes):
        """A session with AK/SK."""
        found = self.connection
        names = ("access_key", "secret_key", "project_id", "region_name")
        return Session(
            **{
                **{name: found[name] for name in names},
                **self.endpoints(),
                **changes,
            }
        )

    def password_session(self, **changes):
        """A session with a password."""
        found = self.connection
        names = ("account", "username", "password", "region_name")
        return Session(**{**{name: found[name] for name in names}, **self.endpoints(), **changes})

    def endpoints(self):
        names = ("modelarts_endpoint", "iam_endpoint")
        return {"proxies": {}, **{name: self.connection[name] for name in names}}

    def board_pid(self, job, times=1):
        """The process of a running job's board."""
        said = self.said(r"job %s: running, process (\d+)" % job.visualization_id, times)
        return int(said.group(1))

    def end(self, number=signal.SIGTERM):
        """End it; answers its exit code."""
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(timeout=60)
        self._reader.join(timeout=60)
        self.process.stderr.close()
        return code
