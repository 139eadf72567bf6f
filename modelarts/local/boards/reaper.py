"""Runs a command that does not outlive the process that started it, however that ends.

Started as ``python -I reaper.py FOLDERS COMMAND…``, with a pipe as its standard input that no other
process holds, and folders separated as in ``PATH``. It prints the process group of the command.
When the pipe is closed, or the command ends, it kills that group and removes the folders.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading


def main() -> None:
    """Run the command and wait for either end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not SIG_IGN, which the command would inherit.
        signal.signal(number, lambda *_: None)
    _, joined, *command = sys.argv
    folders = joined.split(os.pathsep)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )
    try:
        print(process.pid, flush=True)
    except OSError:
        pass  # who started this is gone already
    threading.Thread(target=_end_with_the_pipe, args=(process.pid, folders), daemon=True).start()
    process.wait()
    end(process.pid, folders)


def end(group: int, folders: "list[str]") -> None:
    """Kill a process group and remove its folders."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_the_pipe(group: int, folders: "list[str]") -> None:
    while os.read(0, 1024):
        pass
    end(group, folders)
    os._exit(0)


if __name__ == "__main__":
    main()
