"""Messages as bytes, and a socket that knows whether its peer is there."""

from __future__ import annotations

import itertools
import re
import struct
import time
from typing import Any, Optional, Sequence

import msgpack  # type: ignore[import]
import zmq

from .errors import ProtocolError, Unreachable

VERSION = 1
DEFAULT_PORT_BASE = 7301
# The daemon's limit of an ingest header; a longer one is not even read.
MAX_HEADER_BYTES = 64 << 10
_LAST_PORT_BASE = 65535 - 3
_monitor_numbers = itertools.count()


class Endpoints:
    """Addresses of the daemon's three ZeroMQ sockets."""

    def __init__(self, endpoint: Optional[str] = None,
                 port_base: Optional[int] = None) -> None:
        """`endpoint` is tcp://HOST or tcp://HOST:PORT, PORT being the port
        base; `port_base` alone means this machine. Raises ValueError."""
        if endpoint is None:
            host = "127.0.0.1"
        else:
            host, port = _parse(endpoint)
            if port is not None and port_base is not None:
                raise ValueError("give the port in the endpoint or as "
                                 "port_base, not both")
            port_base = port if port is not None else port_base
        if port_base is None:
            port_base = DEFAULT_PORT_BASE
        if (not isinstance(port_base, int) or isinstance(port_base, bool)
                or not 1 <= port_base <= _LAST_PORT_BASE):
            raise ValueError("port base %r is outside 1..%d"
                             % (port_base, _LAST_PORT_BASE))
        self.ingest, self.query, self.events = (
            "tcp://%s:%d" % (host, port_base + i) for i in range(3))


def _parse(endpoint: str) -> tuple[str, Optional[int]]:
    # A name, an IPv4 address, or an IPv6 address in brackets.
    found = isinstance(endpoint, str) and re.fullmatch(
        r"tcp://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%\w+)?\])"
        r"(?::([0-9]{1,5}))?", endpoint)
    if not found:
        raise ValueError("%r is not tcp://HOST or tcp://HOST:PORT"
                         % (endpoint,))
    host, port = found.groups()
    return host, int(port) if port else None


def encode_map(fields: dict[str, Any]) -> bytes:
    """Raises ValueError for text that is not valid Unicode and numbers that
    do not fit, TypeError for values that have no place in a message."""
    try:
        return bytes(msgpack.packb({"v": VERSION, **fields}))
    except OverflowError as error:
        raise ValueError(str(error)) from None


def decode_map(frame: bytes, endpoint: str) -> dict[str, Any]:
    """Raises ProtocolError."""
    try:
        fields = msgpack.unpackb(frame)
    except (ValueError, TypeError, RecursionError,
            msgpack.exceptions.UnpackException) as error:
        raise ProtocolError("%s: a message is no msgpack map (%s)"
                            % (endpoint, error or type(error).__name__)
                            ) from None
    if not isinstance(fields, dict):
        raise ProtocolError("%s: a message is no msgpack map but %s"
                            % (endpoint, type(fields).__name__))
    if fields.get("v") != VERSION:
        raise ProtocolError("%s: a message of version %r; this client speaks "
                            "version %d"
                            % (endpoint, fields.get("v"), VERSION))
    return fields


def not_reachable(endpoint: str) -> Unreachable:
    return Unreachable("no daemon at %s: check that shoald runs and listens "
                       "there" % endpoint)


class Connection:
    """A connected socket with every setting whose ZeroMQ default would drop,
    grow or wait without a word set on purpose. For one thread at a time.

    `generation` counts the connections made: when it changes, whatever was
    sent before may be lost.
    """

    def __init__(self, endpoint: str, *, kind: int = zmq.DEALER,
                 high_water_mark: int = 1000,
                 max_message_bytes: int = 1 << 20,
                 topics: Sequence[str] = ()) -> None:
        self.endpoint = endpoint
        self.connected = False
        self.generation = 0
        context = zmq.Context.instance()
        self._socket = context.socket(kind)
        self._monitor: Optional[zmq.Socket[bytes]] = None
        try:
            self._configure(high_water_mark, max_message_bytes, topics)
            # Before connecting, so that no event is missed.
            self._monitor = self._socket.get_monitor_socket(
                zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED,
                "inproc://shoal-monitor-%d" % next(_monitor_numbers))
            self._socket.connect(endpoint)
        except BaseException as error:
            self.close()
            if isinstance(error, zmq.ZMQError):
                raise ValueError("connect to %s: %s" % (endpoint, error)
                                 ) from None
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)

    def _configure(self, high_water_mark: int, max_message_bytes: int,
                   topics: Sequence[str]) -> None:
        s = self._socket
        s.sndhwm = s.rcvhwm = high_water_mark
        s.maxmsgsize = max_message_bytes
        # Whoever waits for an answer keeps the message: nothing is left to
        # linger for when the socket is closed.
        s.linger = 0
        # Only to a peer that is there: else messages pile up for one that may
        # never come, and are sent a second time when it does.
        s.immediate = 1
        s.ipv6 = "[" in self.endpoint
        s.reconnect_ivl = 100
        s.reconnect_ivl_max = 2000
        # A peer that vanished without closing is noticed.
        s.heartbeat_ivl = 5000
        s.heartbeat_timeout = 15000
        s.heartbeat_ttl = 30000
        for topic in topics:
            s.subscribe(topic)

    def close(self) -> None:
        if self._socket.closed:
            return
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._monitor = None
        self._socket.close(0)

    def wait(self, seconds: float) -> None:
        """Until a message can be received, the connection comes or goes, or
        the time is over."""
        # Rounded up: else the last millisecond is a loop without a pause.
        milliseconds = max(0, int(seconds * 1000 + 0.999))
        self._poller.poll(milliseconds)
        self._read_monitor()

    def _read_monitor(self) -> None:
        assert self._monitor is not None
        while True:
            try:
                frames = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event = struct.unpack_from("=H", frames[0])[0]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connected = True
                self.generation += 1
            elif event == zmq.EVENT_DISCONNECTED:
                self.connected = False

    def wait_connected(self, deadline: float) -> None:
        """`deadline` is of time.monotonic(). Raises Unreachable."""
        self.wait(0)
        while not self.connected:
            left = deadline - time.monotonic()
            if left <= 0:
                raise not_reachable(self.endpoint)
            self.wait(left)

    def receive(self) -> Optional[list[bytes]]:
        """The frames of the next message, if one is there."""
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def send(self, *frames: bytes) -> bool:
        """False when it cannot be queued now."""
        try:
            # Large frames are shared with ZeroMQ, not copied.
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        return True
