"""Runs a command that does not outlive who started it, however that ends.

Started as ``python -I reaper.py FOLDER COMMAND…`` with a pipe as its standard input that nobody
else holds. It says the process group of the command on its standard output. When the pipe is
closed, or the command ends, it kills that group and removes the folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

__all__ = ["end", "main"]


def main() -> None:
    """Run the command and wait for either end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not SIG_IGN, which the command would inherit.
        signal.signal(number, lambda *_: None)
    _, folder, *command = sys.argv
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )
    try:
        print(process.pid, flush=True)
    except OSError:
        pass  # who started this is gone already
    threading.Thread(target=_end_with_the_pipe, args=(process.pid, folder), daemon=True).start()
    process.wait()
    end(process.pid, folder)


def end(group: int, folder: str) -> None:
    """Kill a process group and remove its folder."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
    shutil.rmtree(folder, ignore_errors=True)


def _end_with_the_pipe(group: int, folder: str) -> None:
    while os.read(0, 1024):
        pass
    end(group, folder)
    os._exit(0)


if __name__ == "__main__":
    main()
