"""A Scrapy item pipeline that sends the images of items to shoald.

Needs Scrapy (Debian: python3-scrapy). Settings, stats and what an item looks
like are in README.md.
"""

from __future__ import annotations

import collections
import logging
import os
import queue
import threading
import urllib.parse
from typing import Any, Callable, Generator, Iterator, Mapping, Optional

from itemadapter import ItemAdapter  # type: ignore[import]
from scrapy import Request  # type: ignore[import]
from scrapy.http.request import NO_CALLBACK  # type: ignore[import]
from twisted.internet import defer
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from . import ingest
from .client import Client
from .errors import (Busy, DaemonError, ProtocolError, Rejected, ShoalError,
                     Timeout, Unreachable)
from .ingest import Image
from .replies import IngestReply, WireError

_defer_to_pool: Any = deferToThreadPool
logger = logging.getLogger(__name__)

# The daemon takes 16 KiB of meta and 256 bytes of source.
_MAX_META_VALUE_BYTES = 4096
_MAX_SOURCE_BYTES = 256
# Addresses whose outcome is remembered: a picture on every page is fetched
# and sent once.
_REMEMBERED_URLS = 10_000


class _Failed(Exception):
    """An image that did not reach the daemon, or got no answer."""

    def __init__(self, group: str, code: str, message: str,
                 busy_retries: int = 0) -> None:
        super().__init__(message)
        self.group = group  # of the stats counter
        self.error = WireError(code, message)
        self.busy_retries = busy_retries


class _Source:
    """Where one image of an item comes from."""

    def __init__(self, page: Optional[str], url: Optional[str],
                 alt: Optional[str], *, data: Any = None,
                 is_download: bool = False) -> None:
        self.page = page
        self.url = url
        self.alt = alt
        self.data = data  # bytes, or the path of a file
        self.is_download = is_download

    def meta(self) -> dict[str, str]:
        values = {"page": self.page, "image": self.url, "alt": self.alt}
        return {key: _cut(str(value), _MAX_META_VALUE_BYTES)
                for key, value in values.items() if value}


class _Thread(threading.Thread):
    """Does not keep a process that was told to end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True


class _ThreadPool(ThreadPool):
    threadFactory = _Thread


class ShoalPipeline:
    """Sends the images of each item and puts what became of them on it.

    The reactor never waits: blocking clients run on a thread pool. At most
    SHOAL_CONCURRENT_IMAGES images are held at once, from before their
    download to the daemon's answer; items wait for their images, and Scrapy
    fetches no more pages than SCRAPER_SLOT_MAX_ACTIVE_SIZE allows. So a slow
    or busy daemon slows the crawl down. No item is dropped, whatever happens
    to its images.
    """

    def __init__(self, crawler: Any) -> None:
        settings = crawler.settings
        self._crawler = crawler
        self._stats = crawler.stats
        self._ack = settings.get("SHOAL_ACK", "assigned")
        try:
            ingest.check_ack(self._ack)
            self._concurrent = settings.getint("SHOAL_CONCURRENT_IMAGES", 16)
            if not 1 <= self._concurrent <= 1000:
                raise ValueError("SHOAL_CONCURRENT_IMAGES is %d; it must be "
                                 "1 to 1000" % self._concurrent)
            give_up_after = settings.getfloat("SHOAL_GIVE_UP_AFTER", 300.0)
            if give_up_after <= 0:
                raise ValueError("SHOAL_GIVE_UP_AFTER is %g; it must be "
                                 "above 0" % give_up_after)
            port_base = settings.get("SHOAL_PORT_BASE")
            self._new_client: Callable[[], Client] = lambda: Client(
                settings.get("SHOAL_ENDPOINT"),
                port_base=None if port_base is None else int(port_base),
                give_up_after=give_up_after,
                # A daemon that is just being restarted is waited for.
                connect_timeout=give_up_after)
            self._new_client().close()
        except ValueError as error:
            raise ValueError("settings of ShoalPipeline: %s" % error
                             ) from None
        self._source = settings.get("SHOAL_SOURCE")
        self._result_field = settings.get("SHOAL_RESULT_FIELD", "shoal")
        self._bytes_field = settings.get("SHOAL_BYTES_FIELD", "image_bytes")
        self._urls_field = settings.get("SHOAL_URLS_FIELD", "image_urls")
        self._alt_field = settings.get("SHOAL_ALT_FIELD", "image_alts")
        self._page_field = settings.get("SHOAL_PAGE_FIELD", "page_url")
        self._stores = [
            (settings.get("IMAGES_RESULT_FIELD") or "images",
             settings.get("IMAGES_STORE")),
            (settings.get("FILES_RESULT_FIELD") or "files",
             settings.get("FILES_STORE"))]
        self._permits = defer.DeferredSemaphore(self._concurrent)
        self._pool: Any = _ThreadPool(  # type: ignore[no-untyped-call]
            0, self._concurrent, "shoal")
        # Clients that are not in use; a client is used by one thread at a
        # time.
        self._clients: queue.SimpleQueue[Client] = queue.SimpleQueue()
        self._outcomes: collections.OrderedDict[Any, dict[str, Any]] = (
            collections.OrderedDict())
        # By address in flight, those that wait for its outcome.
        self._waiting: dict[Any, list[defer.Deferred[Any]]] = {}
        self._is_field_missed = False

    @classmethod
    def from_crawler(cls, crawler: Any) -> ShoalPipeline:
        return cls(crawler)

    def open_spider(self, spider: Any = None) -> None:
        self._pool.start()

    def close_spider(self, spider: Any = None) -> None:
        # No item is being processed any more, so no thread is busy.
        self._pool.stop()
        while True:
            try:
                self._clients.get_nowait().close()
            except queue.Empty:
                return

    @defer.inlineCallbacks
    def process_item(self, item: Any, spider: Any = None
                     ) -> Generator[Any, Any, Any]:
        try:
            adapter = ItemAdapter(item)
            sources = list(self._sources(adapter))
        except Exception:
            logger.exception("an item's images cannot be read from it")
            self._count("failed/bad_item")
            return item
        outcomes = yield defer.gatherResults(
            [self._outcome(source) for source in sources])
        try:
            adapter[self._result_field] = outcomes
        except Exception as error:
            self._count("no_result_field")
            if not self._is_field_missed:
                self._is_field_missed = True
                logger.error("items of %s have no field %r "
                             "(SHOAL_RESULT_FIELD) for the clusters: %s",
                             type(item).__name__, self._result_field, error)
        return item

    # What an item holds.

    def _sources(self, adapter: ItemAdapter) -> Iterator[_Source]:
        page = adapter.get(self._page_field) or None
        urls = _as_list(adapter.get(self._urls_field))
        alts = adapter.get(self._alt_field) or []

        def alt_of(index: int, url: Optional[str]) -> Optional[str]:
            if isinstance(alts, Mapping):
                return alts.get(url)
            if url in urls:
                index = urls.index(url)
            return alts[index] if index < len(alts) else None

        # Fetched already by Scrapy's own pipelines.
        stored = [(field, store) for field, store in self._stores
                  if field in adapter and store]
        for field, store in stored:
            for i, result in enumerate(adapter[field] or []):
                path = os.path.join(_local(store), result["path"])
                yield _Source(page, result.get("url"),
                              alt_of(i, result.get("url")), data=path)
        if stored:
            return
        data = adapter.get(self._bytes_field)
        if data is not None:
            if isinstance(data, (bytes, bytearray, memoryview)):
                data = [data]
            for i, each in enumerate(data):
                url = urls[i] if i < len(urls) else None
                yield _Source(page, url, alt_of(i, url), data=bytes(each))
            return
        for i, url in enumerate(urls):
            address = urllib.parse.urljoin(page or "", str(url))
            yield _Source(page, address, alt_of(i, url), is_download=True)

    # What becomes of one image. No Deferred of these fails.

    def _outcome(self, source: _Source) -> defer.Deferred[dict[str, Any]]:
        if not source.is_download:
            return self._permits.run(self._send, source, source.data)
        try:
            request = Request(source.url, callback=NO_CALLBACK, meta={
                # Pictures are often on another host than their page.
                "allow_offsite": True})
            key = self._crawler.request_fingerprinter.fingerprint(request)
        except Exception as error:
            return defer.succeed(self._failure(source, _Failed(
                "download_failed", "bad_url", str(error))))
        if key in self._outcomes:
            self._count("known_url")
            self._outcomes.move_to_end(key)
            return defer.succeed(dict(self._outcomes[key]))
        if key in self._waiting:
            self._count("known_url")
            waiting: defer.Deferred[dict[str, Any]] = defer.Deferred()
            self._waiting[key].append(waiting)
            return waiting
        self._waiting[key] = []
        done = self._permits.run(self._fetch_and_send, source, request)
        done.addCallback(self._tell, key)
        return done

    def _tell(self, outcome: dict[str, Any], key: Any) -> dict[str, Any]:
        """Those that wait for the same address. What failed may be tried
        again on the next page."""
        if outcome["status"] != "failed":
            self._outcomes[key] = dict(outcome)
            if len(self._outcomes) > _REMEMBERED_URLS:
                self._outcomes.popitem(last=False)
        for waiting in self._waiting.pop(key):
            waiting.callback(dict(outcome))
        return outcome

    @defer.inlineCallbacks
    def _fetch_and_send(self, source: _Source, request: Request
                        ) -> Generator[Any, Any, dict[str, Any]]:
        try:
            response = yield self._crawler.engine.download(request)
        except Exception as error:
            return self._failure(source, _Failed(
                "download_failed", type(error).__name__,
                "%s: %s" % (source.url, error or type(error).__name__)))
        if response.status != 200:
            return self._failure(source, _Failed(
                "download_failed", "http_%d" % response.status,
                "%s: HTTP status %d" % (source.url, response.status)))
        outcome: dict[str, Any] = yield self._send(source, response.body)
        return outcome

    @defer.inlineCallbacks
    def _send(self, source: _Source, data: Any
              ) -> Generator[Any, Any, dict[str, Any]]:
        name = self._source or self._crawler.spider.name
        image = Image(data, source=_cut(name, _MAX_SOURCE_BYTES),
                      meta=source.meta())
        self._count("images")
        try:
            reply, busy = yield _defer_to_pool(
                _reactor(), self._pool, self._ingest, image)
        except _Failed as error:
            return self._failure(source, error)
        except Exception as error:  # a fault here must not lose the item
            logger.exception("sending %s", source.url or "an image")
            return self._failure(source, _Failed(
                "failed", "internal", "%s: %s"
                % (type(error).__name__, error)))
        if busy:
            self._count("busy_retries", busy)
        return self._success(source, reply)

    def _ingest(self, image: Image) -> tuple[IngestReply, int]:
        """On a thread of the pool."""
        try:
            client = self._clients.get_nowait()
        except queue.Empty:
            client = self._new_client()
        before = client.busy_retries
        try:
            try:
                reply = client.ingest(image, ack=self._ack)
            except Timeout:
                if self._ack == "stored":
                    raise
                # Its cluster is long in coming; on disk it may be already.
                reply = client.ingest(image, ack="stored")
            return reply, client.busy_retries - before
        except Rejected as error:
            return (IngestReply("", "rejected", error=WireError(
                error.code, error.message)), client.busy_retries - before)
        except OSError as error:
            if isinstance(error, ShoalError):
                raise _failed(error, client.busy_retries - before) from None
            raise _Failed("failed", "unreadable", str(error)) from None
        except ShoalError as error:
            raise _failed(error, client.busy_retries - before) from None
        finally:
            self._clients.put(client)

    # Results, on the reactor's thread.

    def _success(self, source: _Source, reply: IngestReply
                 ) -> dict[str, Any]:
        error = reply.error
        state: Optional[str] = "pending"
        if reply.is_rejected:
            state = None
            self._count("rejected/" + (error.code if error else "unknown"))
        else:
            self._count("duplicate" if reply.status == "duplicate"
                        else "stored")
            if reply.has_cluster:
                state = ("assigned" if reply.cluster is not None
                         else "unassigned")
            if error is not None and reply.status == "assigned":
                self._count("unusable/" + error.code)
        return _result(source, reply.id or None, reply.status, reply.cluster,
                       reply.confidence, state, error)

    def _failure(self, source: _Source, failed: _Failed) -> dict[str, Any]:
        self._count("%s/%s" % (failed.group, failed.error.code))
        if failed.busy_retries:
            self._count("busy_retries", failed.busy_retries)
        logger.warning("image not sent: %s [%s]", failed.error.message,
                       failed.error.code)
        return _result(source, None, "failed", None, None, None,
                       failed.error)

    def _count(self, name: str, by: int = 1) -> None:
        self._stats.inc_value("shoal/" + name, by)


def _result(source: _Source, id: Optional[str], status: str,
            cluster: Optional[int], confidence: Optional[float],
            state: Optional[str], error: Optional[WireError]
            ) -> dict[str, Any]:
    return {"url": source.url, "id": id, "status": status,
            "cluster": cluster, "confidence": confidence, "state": state,
            "error": error and {"code": error.code,
                                "message": error.message}}


def _failed(error: ShoalError, busy_retries: int) -> _Failed:
    names = ((Busy, "busy"), (Unreachable, "unreachable"),
             (Timeout, "timeout"), (ProtocolError, "protocol"),
             (DaemonError, "daemon"), (ShoalError, "failed"))
    code = next(name for kind, name in names if isinstance(error, kind))
    return _Failed("failed", code, str(error), busy_retries)


def _reactor() -> Any:
    # Not at the top: importing it installs a reactor, and Scrapy may want
    # another one.
    from twisted.internet import reactor
    return reactor


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _local(store: Any) -> str:
    """The folder of FILES_STORE or IMAGES_STORE."""
    text = str(store)
    if text.startswith("file://"):
        return urllib.parse.unquote(urllib.parse.urlsplit(text).path)
    if "://" in text:
        raise ValueError("%s is not a folder of this machine: put the bytes "
                         "on the item, or let ShoalPipeline download" % text)
    return text


def _cut(text: str, most: int) -> str:
    """`text` as UTF-8 of at most `most` bytes."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
