"""What the kernel saw: the packets of a port on loopback, each with the kernel's own time. Linux, and root.

A packet socket (packet(7)) gets a copy of each packet as it is sent, as tcpdump does.
"""

from __future__ import annotations

import bisect
import itertools
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from . import kernel_clock
from .log import Served

ETH_P_ALL = 3
ETHERNET_BYTES = 14
LOOK_S = 0.2
MOST_BYTES = 2**17
BUFFER_BYTES = 2**26
CHUNK = b" w"
"""What each token of a chunk begins with, and nothing else in a packet of it."""
CLOCKS_S = 1e-4
"""Two clocks of one machine, which are read one after the other, agree to this."""


@dataclass(frozen=True)
class Packet:
    """A packet with payload: when the kernel sent it, by CLOCK_MONOTONIC, in seconds; and the other side's port."""

    time_s: float
    from_server: bool
    port: int
    payload: bytes


def permitted() -> str | None:
    """Why packets cannot be seen here; None where they can."""
    if not hasattr(socket, "AF_PACKET"):
        return "this system has no packet sockets"
    try:
        _open().close()
    except OSError as error:
        return f"packet sockets: {error.strerror}"
    return None


def _open() -> socket.socket:
    sniffing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(ETH_P_ALL))
    sniffing.bind(("lo", 0))
    kernel_clock.stamp(sniffing)
    sniffing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    return sniffing


class Sniffer:
    """A context manager that collects the `packets` of a server's port, in their order."""

    def __init__(self, port: int):
        self._port, self.packets = port, []
        self._seen: set[tuple[int, int, int]] = set()

    def __enter__(self) -> Sniffer:
        self._epoch_s, self._socket, self._ended = kernel_clock.epoch_s(), _open(), threading.Event()
        self._socket.settimeout(LOOK_S)
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _collect(self) -> None:
        """Until nothing comes any more after the end."""
        while True:
            try:
                data, ancillary, _, address = self._socket.recvmsg(MOST_BYTES, kernel_clock.ANCILLARY_BYTES)
            except TimeoutError:
                if self._ended.is_set():
                    return
                continue
            came_s = kernel_clock.came_s(ancillary, self._epoch_s)
            if address[2] == socket.PACKET_OUTGOING and came_s is not None:
                self._note(data, came_s)

    def _note(self, data: bytes, came_s: float) -> None:
        """Keep a packet of the port that has payload, and was not sent before. IPv4 and TCP: RFC 791, RFC 9293."""
        header = data[ETHERNET_BYTES:]
        if len(header) < 20 or header[0] >> 4 != 4 or header[9] != socket.IPPROTO_TCP:
            return
        segment = header[(header[0] & 15) * 4 : struct.unpack_from("!H", header, 2)[0] or None]
        source, destination, sequence = struct.unpack_from("!HHI", segment)
        payload, sent = segment[(segment[12] >> 4) * 4 :], (source, destination, sequence)
        if payload and self._port in (source, destination) and sent not in self._seen:
            self._seen.add(sent)
            from_server = source == self._port
            self.packets.append(Packet(came_s, from_server, destination if from_server else source, payload))


@dataclass(frozen=True)
class Agreement:
    """How the log of a server compares with its packets, in seconds, a value for each chunk and for each request.

    `sent_s`: the kernel's time of a chunk's packet, less the log's time right before it was handed over.
    `read_s`: the log's time of a request, less the kernel's time of the last packet of it.
    """

    sent_s: list[float]
    read_s: list[float]


def compare(packets: Sequence[Packet], requests: Sequence[Served]) -> Agreement:
    """Hold a log against packets. Raises ValueError where they do not have the same tokens in the same order.

    A packet may hold chunks that were handed over one right after the other; it is the packet of each of them.
    """
    agreement = Agreement([], [])
    for port in {request.port for request in requests}:
        own = [packet for packet in packets if packet.port == port]
        of_port = [request for request in requests if request.port == port]
        sent = [packet for packet in own if packet.from_server and CHUNK in packet.payload]
        writes = [write for request in of_port for write in request.writes]
        after_packets = list(itertools.accumulate(packet.payload.count(CHUNK) for packet in sent))
        after_writes = list(itertools.accumulate(write.tokens for write in writes))
        if not set(after_packets) <= set(after_writes) or after_packets[-1:] != after_writes[-1:]:
            raise ValueError(f"{len(sent)} packets, {len(writes)} chunks: they do not hold the same tokens")
        for write, tokens in zip(writes, after_writes, strict=True):
            packet = sent[bisect.bisect_left(after_packets, tokens)]
            agreement.sent_s.append(packet.time_s - write.before_s)
        for request in of_port:
            received_s = [p.time_s for p in own if not p.from_server and p.time_s <= request.received_s + CLOCKS_S]
            agreement.read_s.append(request.received_s - max(received_s))
    return agreement
