"""Ports."""

from __future__ import annotations

import socket

from .errors import MachineError


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
