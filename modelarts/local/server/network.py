"""On which addresses a service listens, and whether that is safe."""

from __future__ import annotations

import logging
import socket
import ssl
from ipaddress import ip_address

import attr

from modelarts.errors import ConfigurationError
from modelarts.local.web.hosts import ANY, Reach, is_unspecified

_LOG = logging.getLogger("modelarts.local")


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Network:
    """The addresses to listen on, and the names by which they are reached.

    Args:
        port: 0 for the one of last time, or any that is free.
        certificate: the files of a certificate (with its chain) and of its key, in PEM.
        insecure: whether plain HTTP may be spoken beyond this machine.
        public: the scheme, host and port at which a proxy offers the service.
        further: more names that a ``Host`` header may have; ``*`` for all.
        behind_hub: whether this is started in a JupyterHub's single-user server.
        board_host: what follows the label of a board, if each has a host of its own.
    """

    host: str = "127.0.0.1"
    port: int = 0
    certificate: tuple[str, str] | None = None
    insecure: bool = False
    public: str | None = None
    further: tuple[str, ...] = ()
    behind_hub: bool = False
    board_host: str | None = None

    def check(self) -> None:
        """Raises ConfigurationError where it is not safe, or a certificate cannot be used."""
        if self.certificate is not None:
            self.context()
        elif not self.is_local():
            if not self.insecure:
                raise ConfigurationError(
                    f"--host {self.host} opens the service to a network, where keys and boards "
                    "can be read in passing: give --tls-cert and --tls-key, or --insecure-http "
                    "if that network is yours alone"
                )
            _LOG.warning(
                "plain HTTP on %s: who is on that network can read boards and tokens", self.host
            )
        if not self.is_local():
            _LOG.warning("the service can be reached from other machines (--host %s)", self.host)
        if ANY in self.further:
            _LOG.warning("any Host is answered: nothing is done against DNS rebinding")

    def context(self) -> ssl.SSLContext:
        """TLS with this certificate. Raises ConfigurationError where it cannot be used."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate, key = self.certificate or ("", "")
        try:
            # An empty password: nobody is there to be asked for one.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigurationError(
                f"the certificate {certificate} with the key {key} cannot be used: "
                f"{error.strerror if isinstance(error, OSError) else error}"
            ) from None
        return context

    def is_local(self) -> bool:
        """Return True if only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def reach(self, local: str) -> Reach:
        """Return the names of the service; ``local`` is its address for programs on this machine.

        Behind a hub, readers come by the hub's name, which nobody here knows. Their browsers are
        on other machines, where no name can be made to lead to this one's loopback. So boards may
        be asked for under any name, unless names were said.
        """
        names = self.further or self.public is not None
        pages_for_all = self.behind_hub and self.is_local() and not names
        return Reach(self.host, local, self.public, self.further, pages_for_all, self.board_host)


def listen(host: str, port: int, last: int) -> socket.socket:
    """Return a listening socket, at the port of last time if none is wanted and that is free.

    Raises:
        ConfigurationError: it is not possible there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The port of last time keeps the addresses of boards as they were.
    for candidate in [port] if port else [last, 0]:
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, candidate))
            listening.listen(256)
            return listening
        except OSError as error:
            listening.close()
            reason = error.strerror
    raise ConfigurationError(f"cannot listen on {host}:{port}: {reason}")


def url_of(listening: socket.socket, scheme: str, host: str) -> str:
    """Return the address of a listening socket, for programs on this machine."""
    if is_unspecified(host):
        host = "::1" if ":" in host else "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{listening.getsockname()[1]}"
