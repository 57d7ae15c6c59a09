"""Ports, and what MII opens on those that other machines reach."""

from __future__ import annotations

import socket

from .errors import MachineError

_QUEUE = "its request queue (ZMQ), which sends the prompts' tokens to any subscriber, and torch's rendezvous store"
_FIREWALL = "on a network that is not trusted, put a firewall in front"
MII_LISTENS = f"MII listens on all network interfaces while it is loaded: {_QUEUE}; {_FIREWALL}"
SERVE_LISTENS = (
    "mii.serve listens on all network interfaces while it is up: its gRPC servers, which answer anyone and carry "
    f"prompts and answers unencrypted, {_QUEUE}; {_FIREWALL}"
)
"""MII 0.3.3 has a setting for the ports and none for the interfaces."""
RANKS_LISTEN = (
    "torch's rendezvous store, by which the ranks meet, listens on all network interfaces while they run; " + _FIREWALL
)


def free_port() -> int:
    """A TCP port that nothing on this machine listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int) -> None:
    """Raise MachineError when something listens on a port of this machine."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise MachineError(f"port {port} is in use: end what listens there, or name another with --port")
