"""Folders of files, and their contents after a transfer."""

__all__ = ["NAMES", "contents", "tree", "urls"]

NAMES = ("a b.txt", "100%.txt", "#1.txt", "训练 日志.txt", "a+b&c=d?.txt", "'q\".txt", "é.txt")


def tree(folder, files):
    """Write files; return the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def urls(obs, folder):
    return [found.url for found in obs.list(folder)]
