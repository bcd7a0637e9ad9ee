"""Sending images: a window of unanswered ones, each seen through."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import heapq
import os
import random
import time
from typing import (Any, Callable, Deque, Iterable, Iterator, Mapping,
                    Optional, Union)

from . import replies, wire
from .errors import Busy, ProtocolError, ShoalError, Timeout, Unreachable
from .replies import IngestReply, WireError

Path = Union[str, "os.PathLike[str]"]
Bytes = Union[bytes, bytearray, memoryview]

_FIRST_BACKOFF = 0.05
_LONGEST_BACKOFF = 5.0
# A resend's delay doubles at most this often.
_MOST_RESEND_DOUBLINGS = 3
# However busy the daemon, so many may be unanswered: one that is slow does
# not hold up the others.
_LEAST_SEND_LIMIT = 4
# How long a full send queue is left alone.
_QUEUE_FULL_PAUSE = 0.01
_STATUSES = ("stored", "assigned", "duplicate", "busy", "rejected")
_NAMES_IN_MESSAGE = 5


@dataclasses.dataclass(frozen=True)
class Image:
    """An image to send.

    `data` is the file's bytes, or its path (then it is read when its turn
    comes). Without an `id` the daemon makes one from the bytes. `meta` maps
    strings to strings. `tag` stays here: whatever helps to know the image
    again in `IngestReply.item`.
    """

    data: Union[Bytes, Path]
    id: Optional[str] = None
    source: Optional[str] = None
    captured_at: Union[str, datetime.datetime, None] = None
    meta: Optional[Mapping[str, str]] = None
    tag: Any = dataclasses.field(default=None, compare=False)

    def __str__(self) -> str:
        if self.id is not None:
            return self.id
        if isinstance(self.data, (str, os.PathLike)):
            return os.fspath(self.data)
        return "%d bytes without an id" % len(self.data)


class Unusable(Exception):
    """An image that need not be sent: the daemon could not take it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.error = WireError(code, message)


def as_image(item: Any) -> Image:
    """Raises TypeError."""
    if isinstance(item, Image):
        return item
    if isinstance(item, (bytes, bytearray, memoryview, str, os.PathLike)):
        return Image(item)
    raise TypeError("an image is bytes, a path or a shoal.Image, not %s"
                    % type(item).__name__)


def check_ack(ack: str) -> None:
    if ack not in ("stored", "assigned"):
        raise ValueError("ack is %r; use 'stored' or 'assigned'" % (ack,))


def header_of(image: Image, ack: str) -> dict[str, Any]:
    """All but `seq`. Raises TypeError, ValueError."""
    header: dict[str, Any] = {}
    for key in ("id", "source"):
        value = getattr(image, key)
        if value is not None:
            if not isinstance(value, str):
                raise TypeError("%s is a str, not %s"
                                % (key, type(value).__name__))
            header[key] = value
    when = image.captured_at
    if isinstance(when, datetime.datetime):
        if when.tzinfo is None:
            raise ValueError("captured_at has no time zone: use an aware "
                             "datetime")
        when = when.isoformat()
    if when is not None:
        if not isinstance(when, str):
            raise TypeError("captured_at is a datetime or a str, not %s"
                            % type(when).__name__)
        header["captured_at"] = when
    if image.meta:
        meta = dict(image.meta)
        for key, value in meta.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError("meta maps str to str: %r is not"
                                % ((key, value),))
        header["meta"] = meta
    if ack == "assigned":
        header["ack"] = ack
    return header


def bytes_of(image: Image, most: int) -> bytes:
    """The file's bytes. Raises OSError, Unusable, TypeError."""
    data = image.data
    if isinstance(data, (str, os.PathLike)):
        with open(data, "rb") as file:
            data = file.read(most + 1)
    elif isinstance(data, memoryview):
        data = data.tobytes()
    elif not isinstance(data, (bytes, bytearray)):
        raise TypeError("an image's data is bytes or a path, not %s"
                        % type(data).__name__)
    if len(data) > most:
        raise Unusable("too_large", "%s: more than %d bytes, the most that "
                       "this client sends (max_image_bytes)" % (image, most))
    return bytes(data)


class _InFlight:
    """An image that has no final answer yet."""

    __slots__ = ("header", "data", "item", "is_sent", "due", "sent_at",
                 "sends", "busy_answers")

    def __init__(self, header: bytes, data: bytes, item: Any,
                 now: float) -> None:
        self.header = header
        self.data = data
        self.item = item
        self.is_sent = False  # and not yet answered
        self.due = now  # when to send it, first or again
        self.sent_at = 0.0
        self.sends = 0  # in a row that met with silence
        self.busy_answers = 0


class IngestWindow:
    """Sends images and sees each of them through: keeps a window in flight,
    waits and retries when the daemon is busy (sending fewer at once), sends
    again what a lost connection or a silent daemon left unanswered. An image
    is stored once however often it was sent. For one thread at a time.
    """

    def __init__(self, endpoint: str, *, window: int, window_bytes: int,
                 resend_after: float, connect_timeout: float,
                 give_up_after: float, max_image_bytes: int) -> None:
        self.busy_retries = 0
        self._connection = wire.Connection(
            # The window and its resends; no more is ever queued.
            endpoint, high_water_mark=2 * window,
            max_message_bytes=64 << 10)
        self._window = window
        self._window_bytes = window_bytes
        self._resend_after = resend_after
        self._connect_timeout = connect_timeout
        self._give_up_after = give_up_after
        self._max_image_bytes = max_image_bytes
        self._images: dict[int, _InFlight] = {}
        self._last_seq = 0
        self._bytes = 0  # of _images
        self._sent = 0  # of _images, is_sent
        self._send_limit = window  # of _sent
        self._halved_at = 0.0
        self._generation = 0
        # (due, seq) of what is to be sent, and of what is to be sent again
        # unless it is answered; an entry whose `due` has changed is void.
        self._unsent: list[tuple[float, int]] = []
        self._resends: list[tuple[float, int]] = []
        # Seconds spent in poll(), and connections lost, since the last
        # outcome.
        self._waited = 0.0
        self._losses = 0
        self._last_busy: Optional[WireError] = None
        # Of a message, to be raised once the outcomes before it are told.
        self._failure: Optional[ProtocolError] = None

    def close(self) -> None:
        """What is in flight is abandoned."""
        self._connection.close()

    def has_room(self) -> bool:
        return (len(self._images) < self._window
                and self._bytes < self._window_bytes)

    def in_flight(self) -> int:
        return len(self._images)

    def unacknowledged(self) -> list[Any]:
        return [entry.item for entry in self._images.values()]

    def submit(self, item: Any, ack: str) -> None:
        """Takes `item`, an Image or what as_image() takes. Needs room.
        Raises TypeError; OSError and Unusable when it need not be sent."""
        assert self.has_room()
        image = as_image(item)
        data = bytes_of(image, self._max_image_bytes)
        seq = self._last_seq + 1
        try:
            header = wire.encode_map({"seq": seq, **header_of(image, ack)})
        except ValueError as error:
            raise Unusable("bad_field", "%s: %s" % (
                ascii(str(image)), error)) from None
        # The daemon would answer without the seq: nobody would know for what.
        if len(header) > wire.MAX_HEADER_BYTES:
            raise Unusable("bad_field", "id, source and meta have %d bytes; "
                           "at most %d are allowed"
                           % (len(header), wire.MAX_HEADER_BYTES))
        now = time.monotonic()
        if not self._images:
            self._start_waiting()
        self._last_seq = seq
        self._images[seq] = _InFlight(header, data, item, now)
        self._bytes += len(data)
        heapq.heappush(self._unsent, (now, seq))

    def poll(self, seconds: float) -> list[IngestReply]:
        """Waits until an image's fate is known, or for `seconds`, and does
        all sending. Returns at once when no image is in flight. Raises
        Unreachable, Timeout or Busy when it gives up, ProtocolError."""
        begin = before = time.monotonic()
        pause = 0.0
        try:
            while True:
                self._connection.wait(pause)
                now = time.monotonic()
                self._waited += now - before
                before = now
                self._notice_connection(now)
                if self._failure is not None:
                    raise self._failure
                outcomes = self._receive(now)
                self._send_due(now)
                if outcomes or not self._images:
                    return outcomes
                self._check_progress()
                left = begin + seconds - now
                if left <= 0:
                    return []
                pause = min(left, self._next_change(now) - now)
        except ShoalError as error:
            error.unacknowledged = tuple(self.unacknowledged())
            raise

    def _start_waiting(self) -> None:
        self._waited = 0.0
        self._losses = 0
        self._last_busy = None

    def _notice_connection(self, now: float) -> None:
        """After a new connection whatever was sent over the old one is sent
        again: it, or its answer, may be lost."""
        if self._connection.generation == self._generation:
            return
        if self._generation > 0:
            self._losses += self._connection.generation - self._generation
        self._generation = self._connection.generation
        for seq, entry in self._images.items():
            if entry.is_sent:
                entry.is_sent = False
                self._put_off(seq, entry, now)
        self._sent = 0

    def _put_off(self, seq: int, entry: _InFlight, until: float) -> None:
        entry.due = until
        heapq.heappush(self._unsent, (until, seq))

    def _send_due(self, now: float) -> None:
        if not self._connection.connected:
            return
        while self._sent < self._send_limit:
            found = self._next_due(self._unsent, is_sent=False)
            if found is None or found.due > now:
                break
            seq = heapq.heappop(self._unsent)[1]
            if not self._send(seq, found, now):
                self._put_off(seq, found, now + _QUEUE_FULL_PAUSE)
                return
            found.is_sent = True
            self._sent += 1
        while True:
            found = self._next_due(self._resends, is_sent=True)
            if found is None or found.due > now:
                break
            seq = heapq.heappop(self._resends)[1]
            if not self._send(seq, found, now):
                found.due = now + _QUEUE_FULL_PAUSE
                heapq.heappush(self._resends, (found.due, seq))
                return

    def _next_due(self, heap: list[tuple[float, int]],
                  is_sent: bool) -> Optional[_InFlight]:
        """The image at the heap's top, without the void entries above."""
        while heap:
            due, seq = heap[0]
            entry = self._images.get(seq)
            if (entry is not None and entry.is_sent == is_sent
                    and entry.due == due):
                return entry
            heapq.heappop(heap)
        return None

    def _send(self, seq: int, entry: _InFlight, now: float) -> bool:
        if not self._connection.send(entry.header, entry.data):
            return False
        entry.sent_at = now
        entry.due = now + self._resend_after * 2 ** min(
            entry.sends, _MOST_RESEND_DOUBLINGS)
        heapq.heappush(self._resends, (entry.due, seq))
        entry.sends += 1
        return True

    def _receive(self, now: float) -> list[IngestReply]:
        outcomes: list[IngestReply] = []
        try:
            while (frames := self._connection.receive()) is not None:
                self._take(frames[-1], now, outcomes)
        except ProtocolError as error:
            if not outcomes:
                raise
            self._failure = error
        return outcomes

    def _take(self, frame: bytes, now: float,
              outcomes: list[IngestReply]) -> None:
        endpoint = self._connection.endpoint
        fields = wire.decode_map(frame, endpoint)
        status, error = fields.get("status"), fields.get("error")
        seq = fields.get("seq")
        if (status not in _STATUSES or not isinstance(seq, int)
                or isinstance(seq, bool)):
            raise ProtocolError("%s: not an ingest reply: %s"
                                % (endpoint, ascii(fields)[:200]))
        if error is not None:
            error = replies.decode(WireError, error)
        if seq == 0:
            raise ProtocolError("%s could not read what was sent: %s"
                                % (endpoint, error.message if error
                                   else status))
        entry = self._images.get(seq)
        # The second answer to an image that was sent twice.
        if entry is None:
            return
        if status == "busy":
            self._back_off(seq, entry, fields, error, now)
            return
        outcomes.append(_reply_of(fields, error, entry))
        if entry.is_sent:
            self._sent -= 1
        del self._images[seq]
        self._bytes -= len(entry.data)
        self._start_waiting()
        self._send_limit = min(self._send_limit + 1, self._window)

    def _back_off(self, seq: int, entry: _InFlight, fields: dict[str, Any],
                  error: Optional[WireError], now: float) -> None:
        """Sends it later, and fewer at once: half as many, one more after
        each outcome. Refusals of what was sent before the last halving tell
        nothing new."""
        self._last_busy = error or WireError("busy", "busy")
        self.busy_retries += 1
        asked = fields.get("retry_after_ms") or 0
        if not isinstance(asked, int) or isinstance(asked, bool) or asked < 0:
            raise ProtocolError("%s: retry_after_ms is %r"
                                % (self._connection.endpoint, asked))
        if entry.is_sent:
            self._sent -= 1
        delay = max(min(_FIRST_BACKOFF * 2 ** min(entry.busy_answers, 16),
                        _LONGEST_BACKOFF), asked / 1000)
        # Up to a quarter more, so that clients that were refused together do
        # not come back together.
        delay *= 1 + random.random() / 4
        entry.is_sent = False
        entry.sends = 0
        entry.busy_answers += 1
        self._put_off(seq, entry, now + delay)
        if entry.sent_at > self._halved_at:
            self._halved_at = now
            self._send_limit = max(min(_LEAST_SEND_LIMIT, self._window),
                                   self._send_limit // 2)

    def _check_progress(self) -> None:
        endpoint = self._connection.endpoint
        never = self._connection.generation == 0
        if self._waited >= (self._connect_timeout if never
                            else self._give_up_after):
            waiting = self._waiting()
            if self._losses > 1:
                error: ShoalError = Unreachable(
                    "%s ended the connection %d times without an answer "
                    "(%s): an image may be larger than its "
                    "network.max_message_bytes"
                    % (endpoint, self._losses, waiting))
            elif not self._connection.connected:
                error = Unreachable("%s (%s)" % (
                    wire.not_reachable(endpoint), waiting))
            elif self._last_busy is not None:
                error = Busy(self._last_busy.code, "%s is busy for too long "
                             "(%s): %s" % (endpoint, waiting,
                                           self._last_busy.message))
            else:
                error = Timeout("%s did not answer in %g s (%s): check that "
                                "shoald runs well"
                                % (endpoint, self._give_up_after, waiting))
            self._start_waiting()
            raise error

    def _waiting(self) -> str:
        names: list[str] = []
        for entry in self._images.values():
            if len(names) == _NAMES_IN_MESSAGE:
                names.append("...")
                break
            names.append(str(as_image(entry.item)))
        count = len(self._images)
        return "%d image%s not acknowledged: %s" % (
            count, "" if count == 1 else "s", ", ".join(names))

    def _next_change(self, now: float) -> float:
        """When poll() next has something to do by itself."""
        never = self._connection.generation == 0
        patience = self._connect_timeout if never else self._give_up_after
        change = now + patience - self._waited
        if self._connection.connected:
            if self._sent < self._send_limit:
                entry = self._next_due(self._unsent, is_sent=False)
                if entry is not None:
                    change = min(change, entry.due)
            entry = self._next_due(self._resends, is_sent=True)
            if entry is not None:
                change = min(change, entry.due)
        return change


def _reply_of(fields: dict[str, Any], error: Optional[WireError],
              entry: _InFlight) -> IngestReply:
    reply = replies.decode(IngestReply, {
        "id": fields.get("id") or "", "status": fields["status"],
        "cluster": fields.get("cluster"),
        "confidence": fields.get("confidence")})
    return dataclasses.replace(
        reply, error=error, has_cluster="cluster" in fields,
        busy_retries=entry.busy_answers, item=entry.item)


def refused(item: Any, error: Union[OSError, Unusable]) -> IngestReply:
    """The reply for an image that was not sent."""
    if isinstance(error, Unusable):
        what = error.error
    else:
        what = WireError("unreadable", error.strerror or str(error))
    image = as_image(item)
    return IngestReply(id=image.id if isinstance(image.id, str) else "",
                       status="rejected", error=what, item=item)


def stream(window: IngestWindow, images: Iterable[Any], ack: str,
           on_reply: Optional[Callable[[IngestReply], Any]]
           ) -> Iterator[IngestReply]:
    """The replies to `images`, in the order in which they come. Owns the
    window."""
    source = iter(images)
    failure: Optional[BaseException] = None
    at_end = False
    ready: Deque[IngestReply] = collections.deque()
    try:
        while True:
            may_take = window.has_room() and not at_end
            if may_take:
                try:
                    item = next(source)
                except StopIteration:
                    at_end = True
                    continue
                except Exception as error:
                    failure, at_end = error, True
                    continue
                try:
                    window.submit(item, ack)
                except (OSError, Unusable) as error:
                    ready.append(refused(item, error))
                except TypeError as error:
                    failure, at_end = error, True
            elif not window.in_flight():
                break
            # One that was not sent is told before anything can go wrong.
            if not ready:
                ready.extend(window.poll(0 if may_take else 3600))
            while ready:
                reply = ready.popleft()
                if on_reply is not None:
                    on_reply(reply)
                yield reply
    finally:
        window.close()
    # What was taken before it has been seen through.
    if failure is not None:
        raise failure
