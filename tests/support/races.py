"""Paths that change while they are read."""

import ctypes
import os
import threading
from contextlib import contextmanager

_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE, AT_FDCWD of Linux


@contextmanager
def exchanged(path, target, pause=0.0005):
    """Exchange what is at a path with a link to a target, again and again, in a thread.

    Args:
        path: a file or folder; it is there as before in the end.
        target: where the link leads.
        pause: seconds for which each of both is there at least.
    """
    link = "%s.link" % path
    os.symlink(str(target), link)
    ended, libc = threading.Event(), ctypes.CDLL(None, use_errno=True)

    def exchange():
        names = (_HERE, os.fsencode(str(path)), _HERE, os.fsencode(link))
        assert libc.renameat2(*names, _EXCHANGE) == 0, os.strerror(ctypes.get_errno())

    def run():
        while not ended.wait(pause):
            exchange()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if os.path.islink(str(path)):
            exchange()
        os.unlink(link)
