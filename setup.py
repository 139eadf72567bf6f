"""Builds the package; setup.cfg has its metadata.

With ``SOURCE_DATE_EPOCH`` in the environment two builds of the same files give the same archive and
the same wheel, byte for byte: see CONTRIBUTING.md. Wheels have the times of that variable anyway.
"""

import contextlib
import gzip
import os
import tarfile

from setuptools import setup
from setuptools.command.sdist import sdist


class ReproducibleArchive(sdist):
    """The source archive without times, owners and an order that depend on the machine."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, *rest, **owner):
        """Return the path of the archive."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch is None or format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, *rest, **owner)
        path = base_name + ".tar.gz"
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with contextlib.ExitStack() as opened:
            file = opened.enter_context(open(path, "wb"))
            packed = opened.enter_context(gzip.GzipFile("", "wb", 9, file, int(epoch)))
            archive = opened.enter_context(tarfile.open(fileobj=packed, mode="w"))
            for name in _tree(base_dir):
                archive.add(name, recursive=False, filter=lambda each: _plain(each, int(epoch)))
        return path


def _tree(folder):
    """Return the folder and everything below it, in one order."""
    names = [folder]
    for path, folders, files in os.walk(folder):
        names += [os.path.join(path, name) for name in folders + files]
    return sorted(names)


def _plain(member, epoch):
    """Return a member of the archive as every machine has it."""
    member.mtime = epoch
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    is_program = member.isdir() or member.mode & 0o100
    member.mode = 0o755 if is_program else 0o644
    return member


if "SOURCE_DATE_EPOCH" in os.environ:
    os.umask(0o022)  # the wheel holds the permissions of files that this process makes

setup(cmdclass={"sdist": ReproducibleArchive})
