"""The order of writes and answers in a trace by ``strace``: what a power cut could undo.

A file's content is on the disk after ``fsync`` of it, and its name after ``fsync`` of its folder.
Whoever is told that a call has succeeded has to find it after a power cut. So each thread, before
it answers a request, or ends, must have synchronized what it has written and named; and a file
gets its name only after its content was synchronized, as a name could be kept without it.

Sources: ``fsync(2)``, ``rename(2)``, ``strace(1)``.
"""

import os
import re
import subprocess
from collections import Counter, defaultdict

import pytest

__all__ = ["Trace", "tracing"]

_CALLS = (
    "openat,write,writev,pwrite64,copy_file_range,ftruncate,rename,renameat,renameat2,link,linkat,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sendto,sendmsg"
)
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?.*\Z")
_UNFINISHED = re.compile(r"(\d+) +(\w+\(.*)<unfinished \.\.\.>\Z")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)\Z")
_ENDED = re.compile(r"(\d+) +\+\+\+ exited")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"(?:AT_FDCWD|\d+)<([^>]*)>")
#: Nobody is told of these: logs, locks, what is made anew, and what a training writes itself.
_MAY_BE_LOST = re.compile(
    r"/(service\.(log|lock)|programs\.lock|stay|tmp|logs|training-work)(/|\Z)|-shm\Z|"
    r"/uploads/(tmp|#)|/trainings/[^/]+/(lock|\.?spec\.json|keeper\.log|worker-0\.log)\Z"
)
#: What is left of these is removed by the next service.
_REMOVED_LATER = re.compile(r"/trainings/|/uploads/[0-9a-f]{32}\.gone(/|\Z)")


def tracing(path):
    """Return the beginning of a command that traces the rest of it into a file.

    Without ``strace``, or where it may trace nothing, the test is skipped.
    """
    try:
        done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no strace: apt-get install strace")
    if done.returncode != 0:
        pytest.skip("strace may not trace: %s" % done.stderr.decode().strip())
    options = ["-f", "-y", "-qq", "-s", "16", "--seccomp-bpf", "-e", "signal=none"]
    return ["strace", *options, "-e", "trace=" + _CALLS, "-o", str(path)]


class Trace:
    """The calls of the processes of a service, up to now.

    Args:
        root: the folder that has to survive; nothing else is looked at.

    Attributes:
        wrong: one sentence for each answer, end or name that came too early.
        answers: how many successful answers of HTTP there were.
        kept: how often each file or folder was synchronized, by its path below ``root``.
    """

    def __init__(self, path, root):
        self.wrong = []
        self.answers = 0
        self.kept = Counter()
        self._root = str(root)
        self._contents = {}
        self._names = {}
        self._new = set()
        self._present = set()
        self._held = {}
        self._synchronous = defaultdict(set)
        self._first = None
        pending = {}
        for line in path.read_text(errors="replace").splitlines():
            unfinished = _UNFINISHED.match(line)
            if unfinished:
                pending[unfinished[1]] = unfinished[2]
                self._answer(unfinished[1], unfinished[2])
                continue
            resumed = _RESUMED.match(line)
            if resumed:
                line = "%s %s%s" % (resumed[1], pending.pop(resumed[1], ""), resumed[2])
            elif " send" in line:
                self._answer(*line.split(None, 1))
            ended = _ENDED.match(line)
            if ended:
                self._check(ended[1], "it ended")
            call = _LINE.match(line)
            if call and int(call[4]) >= 0:
                self._first = self._first or call[1]
                self._call(*call.groups())

    def _answer(self, thread, call):
        if call.startswith("send") and '"HTTP/1.1 2' in call:
            self.answers += 1
            self._check(thread, "it answered")
            self._check(self._first, "it answered")

    def _check(self, thread, event):
        for state, what in ((self._contents, "content"), (self._names, "name")):
            for path in [path for path, writer in state.items() if writer == thread]:
                del state[path]
                self.wrong.append("%s before the %s of %s was on the disk" % (event, what, path))
        for path in self._synchronous.pop(thread, ()):
            above = os.path.dirname(path)
            while above:
                if above in self._names:
                    self.wrong.append("%s with %s in %s, which has no name" % (event, path, above))
                above = os.path.dirname(above)

    def _call(self, thread, name, arguments, result, path):
        if name == "openat":
            self._opened(thread, arguments, result, path)
        elif name in ("fsync", "fdatasync"):
            self._synchronized(thread, self._descriptor(arguments))
        elif name in ("write", "writev", "pwrite64", "ftruncate"):
            self._written(thread, self._descriptor(arguments))
        elif name == "copy_file_range":
            self._written(thread, self._below(_DESCRIPTOR.findall(arguments)[1]))
        elif name.startswith(("rename", "link")):
            self._named(thread, *self._paths(arguments), name.startswith("rename"))
        elif name.startswith("mkdir"):
            self._changed(thread, self._paths(arguments)[0], is_new=True)
        elif name.startswith(("unlink", "rmdir")):
            self._removed(thread, self._paths(arguments)[0])

    def _opened(self, thread, arguments, result, real):
        if "O_PATH" in arguments:
            self._held["/proc/self/fd/" + result] = real
        path = self._below(real)
        if path and "O_CREAT" in arguments and path not in self._present:
            self._changed(thread, path, is_new=True)
        elif path and "O_TRUNC" in arguments:
            self._written(thread, path)

    def _written(self, thread, path):
        if path:
            self._contents[path] = thread

    def _synchronized(self, thread, path):
        if path is None:
            return
        self.kept[path] += 1
        self._synchronous[thread].add(path)
        self._contents.pop(path, None)
        for each in [each for each in self._names if os.path.dirname(each) == path]:
            del self._names[each]
            self._new.discard(each)

    def _named(self, thread, source, target, is_moved):
        if source in self._contents and target:
            self.wrong.append("%s was named before its content was on the disk" % target)
        self._contents.pop(source if is_moved else None, None)
        if is_moved:
            self._removed(thread, source)
            for paths in self._synchronous.values():
                for path in [path for path in paths if path.startswith("%s/" % source)]:
                    paths.remove(path)
                    paths.add(str(target) + path[len(source) :])
        self._changed(thread, target, is_new=False)

    def _changed(self, thread, path, is_new):
        if path:
            self._names[path] = thread
            self._present.add(path)
            if is_new:
                self._new.add(path)

    def _removed(self, thread, path):
        if path and _REMOVED_LATER.search(path):
            path = None
        self._contents.pop(path, None)
        if path in self._new:  # as if it never was
            self._new.discard(path)
            self._names.pop(path, None)
        else:
            self._changed(thread, path, is_new=False)
        self._present.discard(path)

    def _descriptor(self, arguments):
        found = _DESCRIPTOR.match(arguments)
        return self._below(found[1]) if found else None

    def _paths(self, arguments):
        """Return the paths of a call, each below the folder that is named before it."""
        folder, paths = "", []
        for part in re.finditer(_DESCRIPTOR.pattern + "|" + _TEXT.pattern, arguments):
            if part[2] is None:
                folder = part[1]
            else:
                paths.append(self._below(os.path.join(folder, part[2])))
        return paths

    def _below(self, path):
        """Return a path below the root; None for others, and what may be lost."""
        held, name = os.path.split(path or "")
        path = os.path.join(self._held.get(held, held), name)
        path = self._held.get(path, path)
        if path == self._root:
            return "."
        if not path.startswith(self._root + "/"):
            return None
        path = "." + path[len(self._root) :]
        return None if _MAY_BE_LOST.search(path) else path
