"""The kernel's own times of what came over a socket, on the clock of `time.perf_counter`."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence

SO_TIMESTAMPNS = 35
"""Of asm-generic/socket.h, see socket(7); Python does not name it."""
STAMP = struct.Struct("@ll")
ANCILLARY_BYTES = socket.CMSG_SPACE(STAMP.size)
READINGS = 20

Ancillary = Sequence[tuple[int, int, bytes]]


def epoch_s() -> float:
    """UNIX time less CLOCK_MONOTONIC, from the reading that took the shortest time."""
    readings = []
    for _ in range(READINGS):
        before, now, after = time.perf_counter(), time.time(), time.perf_counter()
        readings.append((after - before, now - (before + after) / 2))
    return min(readings)[1]


def stamp(receiving: socket.socket) -> None:
    """Have the kernel note when what it receives has come; sockets that are accepted inherit it."""
    receiving.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def came_s(ancillary: Ancillary, epoch: float) -> float | None:
    """When the last of what was read with `recvmsg` had come; None where the kernel did not note it."""
    for level, kind, data in ancillary:
        if (level, kind, len(data)) == (socket.SOL_SOCKET, SO_TIMESTAMPNS, STAMP.size):
            seconds, nanoseconds = STAMP.unpack(data)
            return seconds - epoch + nanoseconds / 1e9
    return None
