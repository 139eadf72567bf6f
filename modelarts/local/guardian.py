"""Runs a command that does not outlive who started it, however that ends.

Started as ``python -I guardian.py COMMAND…`` in a session of its own, with a pipe as its standard
input that nobody else holds. When the pipe is closed, or the command ends, it kills its process
group: the command, all that the command started, and itself.
"""

import os
import signal
import subprocess
import sys
import threading

__all__ = ["main"]


def main() -> None:
    """Run the command and wait for either end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # From the beginning: who started this may be gone before the command runs.
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    try:
        subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=_default_signals).wait()
    finally:
        os.killpg(0, signal.SIGKILL)


def _default_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_with_the_pipe() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
