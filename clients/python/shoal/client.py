"""The client of a shoald."""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
import time
from typing import (Any, Callable, Iterable, Iterator, Mapping, Optional,
                    Sequence, TypeVar, Union)

import zmq

from . import ingest as _ingest
from . import wire
from .errors import (Busy, DaemonError, ProtocolError, ShoalError, Timeout,
                     Unavailable, Unreachable, daemon_error)
from .ingest import Bytes, Image, Path
from .replies import (Cluster, Clusters, Correction, Epoch, Event,
                      HistoryEntry, ImageInfo, IngestReply, LineageEntry,
                      Member, RejectedList, Similar, Status, decode,
                      decode_time)

T = TypeVar("T")
Ids = Union[str, Iterable[str]]

# What is asked again when the connection was lost or the daemon is busy:
# reading twice is harmless, correcting twice is not.
_READING = frozenset((
    "image", "bytes", "cluster", "clusters", "members", "unassigned",
    "similar", "history", "lineage", "status", "epochs", "rejected"))
_FIRST_BACKOFF = 0.05
_LONGEST_BACKOFF = 1.0
# refine(wait=True) asks at least this often whether the run has ended.
_ASK_INTERVAL = 0.5


class Client:
    """Talks to one daemon.

        with Client() as client:
            reply = client.ingest("cat.jpg", ack="assigned")
            print(reply.cluster, client.status().images)

    It connects when first used, and again by itself after a restart of the
    daemon. It is for one thread at a time: it may be handed from thread to
    thread, but a call while another thread is in one raises RuntimeError. Use
    a client per thread. Iterators (ingest_many, events) have a connection of
    their own, so the client can be used while one is being read.

    timeout: seconds to wait for the answer to a question.
    connect_timeout: seconds to wait for a connection before the first answer.
    give_up_after: seconds that an ingest waits without learning what became
        of any image: through restarts of the daemon, silence, and `busy`.
    resend_after: seconds after which an image is sent again that is not
        answered; doubled each time, three times.
    window, window_bytes: the most images, and about the most bytes, that
        ingest_many has in flight.
    max_image_bytes: a larger file is refused here, as `too_large`. Keep it
        below the daemon's network.max_message_bytes, beyond which the daemon
        closes the connection without an answer.

    Raises ValueError for an endpoint or number that makes no sense. Every
    other failure is a ShoalError.
    """

    def __init__(self, endpoint: Optional[str] = None, *,
                 port_base: Optional[int] = None, timeout: float = 10.0,
                 connect_timeout: float = 5.0, give_up_after: float = 300.0,
                 resend_after: float = 15.0, window: int = 64,
                 window_bytes: int = 64 << 20,
                 max_image_bytes: int = 100 << 20) -> None:
        self.endpoints = wire.Endpoints(endpoint, port_base)
        for name, value in (("timeout", timeout),
                            ("connect_timeout", connect_timeout),
                            ("give_up_after", give_up_after),
                            ("resend_after", resend_after)):
            if not 0 < value <= 1e6:
                raise ValueError("%s is %r; it must be above 0 and at most "
                                 "1,000,000 seconds" % (name, value))
        for name, number, most in (("window", window, 10_000),
                                   ("window_bytes", window_bytes, 1 << 40),
                                   ("max_image_bytes", max_image_bytes,
                                    1 << 30)):
            if not isinstance(number, int) or not 1 <= number <= most:
                raise ValueError("%s is %r; it must be 1 to %d"
                                 % (name, number, most))
        self.timeout = timeout
        self.connect_timeout = connect_timeout
        self._max_image_bytes = max_image_bytes
        self._ingest_options: dict[str, Any] = {
            "window": window, "window_bytes": window_bytes,
            "resend_after": resend_after, "connect_timeout": connect_timeout,
            "give_up_after": give_up_after,
            "max_image_bytes": max_image_bytes}
        self._busy = threading.Lock()
        self._query: Optional[wire.Connection] = None
        self._window: Optional[_ingest.IngestWindow] = None
        self._last_seq = 0
        self._busy_retries = 0  # of windows that are gone
        self._closed = False

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Iterators that are being read go on."""
        with self._exclusively():
            self._closed = True
            self._drop_query()
            self._drop_window()

    # Ingest.

    def ingest(self, image: Union[Bytes, Path, Image],
               id: Optional[str] = None, source: Optional[str] = None,
               captured_at: Union[str, datetime.datetime, None] = None,
               meta: Optional[Mapping[str, str]] = None,
               ack: str = "stored") -> IngestReply:
        """Sends an image (its bytes or its path) and waits until it is on
        disk, or with ack="assigned" until it has a cluster or is known to be
        unassigned. A `str` is a path.

        Raises Rejected; OSError for a file that cannot be read; TypeError and
        ValueError for arguments; Unreachable, Timeout or Busy after
        `give_up_after`: the image may then be stored or not, and can be sent
        again."""
        _ingest.check_ack(ack)
        if not isinstance(image, Image):
            image = Image(_ingest.as_image(image).data, id, source,
                          captured_at, meta)
        elif any(x is not None for x in (id, source, captured_at, meta)):
            raise TypeError("a shoal.Image carries its own id, source, "
                            "captured_at and meta")
        with self._exclusively():
            if self._closed:
                raise ShoalError("the client is closed")
            if self._window is None:
                self._window = self._new_window({})
            try:
                try:
                    self._window.submit(image, ack)
                except _ingest.Unusable as error:
                    return _ingest.refused(image, error).check()
                outcomes: Sequence[IngestReply] = ()
                while not outcomes:
                    outcomes = self._window.poll(3600)
            except BaseException:
                # Nothing of this call is left for the next one.
                self._drop_window()
                raise
        return outcomes[0].check()

    @property
    def busy_retries(self) -> int:
        """How often ingest() was told `busy` so far."""
        window = self._window
        return self._busy_retries + (window.busy_retries if window else 0)

    def ingest_many(self, images: Iterable[Union[Bytes, Path, Image]], *,
                    ack: str = "stored",
                    on_reply: Optional[Callable[[IngestReply], Any]] = None,
                    window: Optional[int] = None) -> Iterator[IngestReply]:
        """Sends images and yields what became of each, in the order in which
        that is known; `reply.item` is the image as given. Takes an image only
        when the window has room, so any number can be sent; one that is
        refused, or whose file cannot be read (code `unreadable`), is a reply
        with status `rejected`.

        Raises Unreachable, Timeout or Busy when for `give_up_after` seconds
        the fate of no image became known; `unacknowledged` of the exception
        lists the items that were in flight. What is raised by `images` itself
        comes once those in flight are answered. Not reading to the end
        abandons what is in flight."""
        _ingest.check_ack(ack)
        if self._closed:
            raise ShoalError("the client is closed")
        options: dict[str, Any] = {} if window is None else {"window": window}
        if window is not None and not 1 <= window <= 10_000:
            raise ValueError("window is %r; it must be 1 to 10000" % window)
        return _ingest.stream(self._new_window(options), images, ack,
                              on_reply)

    # Images and clusters.

    def image(self, id: str) -> ImageInfo:
        """Raises NotFound."""
        return decode(ImageInfo, self.call("image", id=id))

    def image_bytes(self, id: str) -> bytes:
        """The stored file. Raises NotFound."""
        data = self.call("bytes", id=id).get("image")
        if not isinstance(data, bytes):
            raise ProtocolError("the daemon's reply makes no sense: image is "
                                + type(data).__name__)
        return data

    def cluster(self, cluster: int) -> Cluster:
        """Raises NotFound. A retired cluster has `successors`."""
        return decode(Cluster, self.call("cluster", cluster=cluster))

    def clusters(self) -> Clusters:
        return decode(Clusters, self.call("clusters"))

    def members(self, cluster: int,
                page_size: Optional[int] = None) -> Iterator[Member]:
        """The images of a cluster, read page by page. When an epoch is
        published in between, one may be missed or come twice. Raises
        NotFound."""
        return self._pages("members", page_size, cluster=cluster)

    def unassigned(self, page_size: Optional[int] = None) -> Iterator[Member]:
        """The images without a cluster, as members()."""
        return self._pages("unassigned", page_size)

    def similar(self, id: Optional[str] = None, *,
                image: Union[Bytes, Path, None] = None,
                k: int = 10) -> list[Similar]:
        """The images most like one, which is stored (`id`) or given as bytes
        or path (`image`). Raises NotFound, Conflict (no epoch yet),
        Rejected, OSError."""
        if (id is None) == (image is None):
            raise TypeError("give an id or an image")
        if image is None:
            fields = self.call("similar", id=id, k=k)
        else:
            try:
                data = _ingest.bytes_of(Image(image), self._max_image_bytes)
            except _ingest.Unusable as error:
                raise daemon_error(error.error.code,
                                   error.error.message) from None
            fields = self.call("similar", image=data, k=k)
        return self._list(Similar, fields, "similar")

    def history(self, id: str) -> list[HistoryEntry]:
        """The changes of an image's label, oldest first. Raises NotFound."""
        return self._list(HistoryEntry, self.call("history", id=id),
                          "history")

    def lineage(self, cluster: Optional[int] = None,
                after: int = 0) -> Iterator[LineageEntry]:
        """Births, merges and ends of clusters, with `seq` above `after`."""
        while True:
            page = self._list(LineageEntry, self.call(
                "lineage", cluster=cluster, after=after), "lineage")
            if not page:
                return
            yield from page
            if page[-1].seq <= after:
                raise ProtocolError("the daemon's reply makes no sense: seq "
                                    "of lineage does not ascend")
            after = page[-1].seq

    # The daemon.

    def status(self) -> Status:
        return decode(Status, self.call("status"))

    def epochs(self) -> list[Epoch]:
        return self._list(Epoch, self.call("epochs"), "epochs")

    def rejected(self, limit: Optional[int] = None) -> RejectedList:
        """The last refused images, the newest first."""
        return decode(RejectedList, self.call("rejected", limit=limit))

    # Runs. Nothing from here on is ever sent twice: when Unreachable or
    # Timeout is raised the daemon may have done it or not.

    def refine(self, *, wait: bool = False,
               max_minutes: Optional[float] = None, dry_run: bool = False,
               wait_timeout: Optional[float] = None) -> Union[int, Epoch]:
        """Starts a run. Its number, or with `wait` its entry of epochs() once
        it has ended (look at `status`: it may have failed). Raises Busy when
        a run is in progress; Timeout after `wait_timeout` seconds, the run
        going on."""
        fields: dict[str, Any] = {"max_minutes": max_minutes}
        if dry_run:
            fields["dry_run"] = True
        run = self._number(self.call("refine", **fields), "run")
        return self.wait_for_run(run, wait_timeout) if wait else run

    def wait_for_run(self, run: int,
                     timeout: Optional[float] = None) -> Epoch:
        """The entry of `run` once it has ended. Raises Timeout, NotFound."""
        deadline = (time.monotonic() + timeout if timeout is not None
                    else float("inf"))
        events = wire.Connection(self.endpoints.events, kind=zmq.SUB,
                                 topics=("epoch.published",))
        try:
            while True:
                # Asked first: a run that ends between the two questions has
                # its entry.
                status = self.status()
                ended = [epoch for epoch in self.epochs()
                         if epoch.epoch == run and epoch.status != "staging"]
                # Its entry is final a moment before the daemon is ready for
                # the next run or a rollback.
                is_last = (status.last_run is not None
                           and status.last_run.epoch == run)
                if ended and not (status.refining and is_last):
                    return ended[0]
                if not ended and not status.refining:
                    raise daemon_error("not_found", "there is no run %d" % run)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout("run %d has not ended in %g s"
                                  % (run, timeout or 0))
                # An event is only a reason to ask at once.
                events.wait(min(left, _FIRST_BACKOFF if ended
                                else _ASK_INTERVAL))
                while events.receive() is not None:
                    pass
        finally:
            events.close()

    def cancel(self) -> int:
        """Stops the run in progress; its number. Raises Conflict."""
        return self._number(self.call("cancel"), "run")

    def rollback(self, epoch: int) -> int:
        return self._number(self.call("rollback", epoch=epoch), "epoch")

    def publish(self, epoch: int) -> int:
        """Makes a held epoch current."""
        return self._number(self.call("publish", epoch=epoch), "epoch")

    # Corrections. Each does all of it or nothing.

    def confirm(self, ids: Ids, cluster: Optional[int] = None) -> Correction:
        """Fixes the images in `cluster`, or each in its own."""
        return decode(Correction, self.call("confirm", ids=_id_list(ids),
                                            cluster=cluster))

    def reject(self, ids: Ids, cluster: Optional[int] = None) -> Correction:
        """Never again in `cluster`, or each never again in its own."""
        return decode(Correction, self.call("reject", ids=_id_list(ids),
                                            cluster=cluster))

    def move(self, ids: Ids, cluster: int) -> Correction:
        """Moves the images to `cluster` and fixes them there."""
        return decode(Correction, self.call("move", ids=_id_list(ids),
                                            cluster=cluster))

    def merge(self, source: int, into: int) -> Correction:
        """`source` ends; its images go to `into`."""
        return decode(Correction, self.call("merge", **{
            "from": source, "into": into}))

    def split(self, cluster: int, ids: Ids) -> Correction:
        """Moves the images to a new cluster: `cluster` of the result."""
        return decode(Correction, self.call("split", cluster=cluster,
                                            ids=_id_list(ids)))

    def undo(self, correction: Optional[int] = None) -> int:
        """Takes a correction back, or the last in force; the undo's own
        number."""
        return self._number(self.call("undo", correction=correction),
                            "correction")

    def name(self, cluster: int, name: str) -> None:
        """Names a cluster; "" takes the name away."""
        self.call("name", cluster=cluster, name=name)

    def delete(self, ids: Ids) -> int:
        """Deletes images for good; how many there were."""
        return self._number(self.call("delete", ids=_id_list(ids)), "deleted")

    def backup(self, directory: Path, timeout: float = 3600.0) -> str:
        """Copies the store, while the daemon runs, to a folder on the
        daemon's machine: an absolute path that does not exist."""
        self.call("backup", timeout=timeout, dir=os.fspath(directory))
        return os.fspath(directory)

    # Events.

    def events(self, topics: Union[str, Iterable[str]] = "") -> Events:
        """Listens to topics, or beginnings of topics; "" is all. Raises
        Unreachable when there is no connection within `connect_timeout`."""
        if isinstance(topics, str):
            topics = (topics,)
        if self._closed:
            raise ShoalError("the client is closed")
        return Events(self.endpoints.events, tuple(topics),
                      self.connect_timeout)

    # Any op.

    def call(self, op: str, *, timeout: Optional[float] = None,
             **fields: Any) -> dict[str, Any]:
        """Asks the query socket; the reply as it came, without `v`, `op`,
        `seq` and `ok`. A field that is None is left out. An op that only
        reads is asked again, within the timeout, when the connection was
        lost or the daemon is busy."""
        message = {key: value for key, value in fields.items()
                   if value is not None}
        may_repeat = op in _READING
        if timeout is None:
            timeout = self.timeout
        deadline = time.monotonic() + timeout
        backoff = _FIRST_BACKOFF
        with self._exclusively():
            if self._closed:
                raise ShoalError("the client is closed")
            while True:
                try:
                    return self._ask(op, message, timeout, deadline)
                except (Unreachable, Busy, Unavailable):
                    query = self._query
                    if (not may_repeat or query is None
                            or query.generation == 0
                            or deadline - time.monotonic() <= backoff):
                        raise
                    self._pass(query, backoff)
                    backoff = min(2 * backoff, _LONGEST_BACKOFF)
                except DaemonError:
                    raise
                except BaseException:
                    # A late reply, or one that was not understood, shall not
                    # meet the next question.
                    self._drop_query()
                    raise

    @staticmethod
    def _pass(query: wire.Connection, seconds: float) -> None:
        """Lets time pass; late replies are dropped."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            query.wait(left)
            while query.receive() is not None:
                pass

    def _ask(self, op: str, fields: dict[str, Any], timeout: float,
             deadline: float) -> dict[str, Any]:
        if self._query is None:
            self._query = wire.Connection(
                # One question at a time, and late replies; room for an
                # image's bytes and for the longest list.
                self.endpoints.query, high_water_mark=16,
                max_message_bytes=1 << 30)
        query = self._query
        self._last_seq += 1
        frame = wire.encode_map({"op": op, "seq": self._last_seq, **fields})
        patience = deadline
        if query.generation == 0 or op not in _READING:
            patience = min(deadline, time.monotonic() + self.connect_timeout)
        query.wait_connected(patience)
        generation = query.generation
        if not query.send(frame):
            raise wire.not_reachable(query.endpoint)
        while True:
            while (frames := query.receive()) is not None:
                reply = wire.decode_map(frames[-1], query.endpoint)
                # A request that could not be read is answered without seq.
                if reply.get("seq", self._last_seq) == self._last_seq:
                    return self._answer(reply)
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout("%s did not answer within %g s: check that "
                              "shoald runs well" % (query.endpoint, timeout))
            if not query.connected or query.generation != generation:
                raise Unreachable("the connection to %s was lost before it "
                                  "answered" % query.endpoint)
            query.wait(left)

    def _answer(self, reply: dict[str, Any]) -> dict[str, Any]:
        ok = reply.get("ok")
        if ok is True:
            return {key: value for key, value in reply.items()
                    if key not in ("v", "op", "seq", "ok")}
        error = reply.get("error")
        if (ok is not False or not isinstance(error, dict)
                or not isinstance(error.get("code"), str)):
            raise ProtocolError("%s: not a query reply: %s" % (
                self.endpoints.query, ascii(reply)[:200]))
        raise daemon_error(error["code"], str(error.get("message") or ""))

    # Inside.

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("this shoal.Client is in use: it is for one "
                               "thread at a time")
        try:
            yield
        finally:
            self._busy.release()

    def _new_window(self, options: dict[str, Any]) -> _ingest.IngestWindow:
        return _ingest.IngestWindow(self.endpoints.ingest,
                                    **{**self._ingest_options, **options})

    def _drop_query(self) -> None:
        if self._query is not None:
            self._query.close()
            self._query = None

    def _drop_window(self) -> None:
        if self._window is not None:
            self._busy_retries += self._window.busy_retries
            self._window.close()
            self._window = None

    def _pages(self, op: str, page_size: Optional[int],
               **fields: Any) -> Iterator[Member]:
        cursor = None
        while True:
            reply = self.call(op, cursor=cursor, limit=page_size, **fields)
            yield from self._list(Member, reply, "members")
            cursor = reply.get("cursor")
            if cursor is None:
                return

    @staticmethod
    def _list(kind: type[T], fields: dict[str, Any], key: str) -> list[T]:
        rows = fields.get(key)
        if not isinstance(rows, list):
            raise ProtocolError("the daemon's reply makes no sense: %s is %s"
                                % (key, type(rows).__name__))
        return [decode(kind, row) for row in rows]

    @staticmethod
    def _number(fields: dict[str, Any], key: str) -> int:
        value = fields.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ProtocolError("the daemon's reply makes no sense: %s is %s"
                                % (key, type(value).__name__))
        return value


class Events:
    """Iterates over events as they come, without end; close it, or use it in
    a `with`. Events are news, not the record: some are missed while there is
    no connection (it comes back by itself; `reconnects` counts) or while more
    than 10,000 wait to be read. For one thread at a time."""

    def __init__(self, endpoint: str, topics: Sequence[str],
                 connect_timeout: float) -> None:
        self._connection = wire.Connection(endpoint, kind=zmq.SUB,
                                           high_water_mark=10_000,
                                           topics=topics)
        try:
            self._connection.wait_connected(time.monotonic()
                                            + connect_timeout)
        except ShoalError:
            self._connection.close()
            raise
        self._closed = False

    @property
    def reconnects(self) -> int:
        return max(0, self._connection.generation - 1)

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._closed = True
        self._connection.close()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while not self._closed:
            event = self.next(3600)
            if event is not None:
                return event
        raise StopIteration

    def next(self, timeout: float) -> Optional[Event]:
        """The next event, or None when none came in `timeout` seconds.
        Raises ProtocolError."""
        if self._closed:
            raise ShoalError("the events are closed")
        deadline = time.monotonic() + timeout
        while True:
            frames = self._connection.receive()
            if frames is not None:
                return self._decode(frames)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._connection.wait(left)

    def _decode(self, frames: list[bytes]) -> Event:
        endpoint = self._connection.endpoint
        if len(frames) != 2:
            raise ProtocolError("%s: an event has two frames, not %d"
                                % (endpoint, len(frames)))
        fields = wire.decode_map(frames[1], endpoint)
        del fields["v"]
        at = decode_time(fields.pop("at", None), "at of an event")
        return Event(frames[0].decode("utf-8", "replace"), at, fields)


def _id_list(ids: Ids) -> list[str]:
    return [ids] if isinstance(ids, str) else list(ids)
