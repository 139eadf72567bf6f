"""A network namespace for one board and its data server, which no other process can reach.

Sources: ``unshare(2)``, ``user_namespaces(7)``, ``netdevice(7)``, ``rtnetlink(7)``.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

from modelarts.local.boards.sandbox import end_with_parent

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_DUMPABLE = 4
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
_NEW_ROUTE, _REQUEST, _ACKNOWLEDGE, _REPLACE, _CREATE = 24, 0x1, 0x4, 0x100, 0x400
_TABLE_LOCAL, _KERNEL, _SCOPE_HOST, _TYPE_LOCAL = 255, 2, 254, 2
_DESTINATION, _INTERFACE, _SOURCE, _METRICS, _QUICK_ACKNOWLEDGE = 1, 4, 7, 8, 15


def isolate_network() -> bool:
    """Move this process to a network namespace of its own; return False where it cannot.

    It must have no other threads yet. Sockets that it has already go on where they are.

    Raises:
        OSError: the kernel allows the namespace, and not its loopback.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_USER | _NEW_NETWORK):
        return False
    # A change of credentials has undone both.
    libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0)
    end_with_parent()
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    _bring_up_loopback()
    _acknowledge_at_once()
    return True


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(any_socket, _GET_FLAGS, request))
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def _acknowledge_at_once() -> None:
    """Have TCP acknowledge at once on the loopback of this namespace.

    The data server sends the parts of a response apart, and the second waits for the receipt of the
    first, which the kernel delays by 40 ms otherwise.
    """
    loopback = socket.inet_aton("127.0.0.1")
    interface = struct.pack("=I", socket.if_nametoindex("lo"))
    message = struct.pack(
        *("=BBBBBBBBI", socket.AF_INET, 32, 0, 0),
        *(_TABLE_LOCAL, _KERNEL, _SCOPE_HOST, _TYPE_LOCAL, 0),
    )
    message += _attribute(_DESTINATION, loopback) + _attribute(_INTERFACE, interface)
    message += _attribute(_SOURCE, loopback)
    message += _attribute(_METRICS, _attribute(_QUICK_ACKNOWLEDGE, struct.pack("=I", 1)))
    flags = _REQUEST | _ACKNOWLEDGE | _REPLACE | _CREATE
    header = struct.pack("=IHHII", 16 + len(message), _NEW_ROUTE, flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.send(header + message)
        netlink.recv(4096)  # a refusal costs 40 ms a request, and nothing else


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value
