"""The address of a board for a browser: its own, or one through the notebook's server.

A board of the local service is on loopback of the machine that the notebook's kernel runs on. The
user's browser may be on another machine, and then reaches that machine only through the notebook's
server. Sources: TensorBoard's ``TENSORBOARD_PROXY_URL``; *Jupyter Server Proxy*, "Accessing
Arbitrary Network Services"; *JupyterHub*, ``JUPYTERHUB_SERVICE_PREFIX``.
"""

import json
import os
from importlib.util import find_spec
from typing import Mapping, Optional
from urllib.parse import urlsplit

_PORT = "%PORT%"


def board_address(service_url: str, environ: Optional[Mapping[str, str]] = None) -> str:
    """Return the address of a board for the user's browser, without a request.

    That is ``service_url``, unless the board is on this machine's loopback and one of these is set:
    the template in ``TENSORBOARD_PROXY_URL`` (its ``%PORT%`` stands
    for the port); a JupyterHub; a Jupyter server that has started this kernel, if
    ``jupyter-server-proxy`` is installed. With the last two it is a path on the notebook's server.

    Args:
        environ: the environment; by default that of this process.
    """
    environ = os.environ if environ is None else environ
    try:
        board = urlsplit(service_url)
        port = board.port or (443 if board.scheme == "https" else 80)
    except ValueError:
        return service_url
    if board.hostname not in ("127.0.0.1", "localhost", "::1"):
        return service_url
    template = environ.get("TENSORBOARD_PROXY_URL") or _server_proxy(environ)
    if not template:
        return service_url
    query = "?" + board.query if board.query else ""
    return template.replace(_PORT, str(port)).rstrip("/") + board.path + query


def is_web_address(address: str) -> bool:
    """Return True if a page may link to the address: a web address or a path, not a script."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.scheme:
        return parts.scheme in ("http", "https")
    return parts.path.startswith("/") and not parts.netloc


def _server_proxy(environ: Mapping[str, str]) -> Optional[str]:
    """Return the template of ``jupyter-server-proxy`` in the server of this kernel."""
    base = environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if base is None and find_spec("jupyter_server_proxy") is not None:
        base = _base_url(environ.get("JPY_PARENT_PID", ""))
    return None if base is None else "%s/proxy/%s" % (base.rstrip("/"), _PORT)


def _base_url(process: str) -> Optional[str]:
    """Return the base path of the Jupyter server with that process id; None for other processes."""
    if not process.isdigit():
        return None
    try:
        from jupyter_core.paths import jupyter_runtime_dir

        # The file has the server's token too, which is not kept.
        with open(os.path.join(jupyter_runtime_dir(), "jpserver-%s.json" % process)) as file:
            return str(json.load(file)["base_url"])
    except (ImportError, OSError, ValueError, KeyError, TypeError):
        return None
