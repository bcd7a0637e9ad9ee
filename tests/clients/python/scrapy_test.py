"""The Scrapy pipeline, with a crawler that is none and a daemon that
misbehaves on purpose."""

import dataclasses
import logging
import pathlib
import tempfile
import threading
import types
import unittest

import scrapy
from scrapy.http import Response
from scrapy.settings import Settings
from scrapy.statscollectors import MemoryStatsCollector
from scrapy.utils.request import RequestFingerprinter
from twisted.internet import defer, reactor, task
from twisted.trial.unittest import TestCase

from fake_daemon import FakeDaemon
from shoal.scrapy import ShoalPipeline


class Item(scrapy.Item):
    image_bytes = scrapy.Field()
    shoal = scrapy.Field()


class NoField(scrapy.Item):
    image_bytes = scrapy.Field()


@dataclasses.dataclass
class Page:
    image_urls: list
    page_url: str = "http://site/page"
    image_alts: object = None
    shoal: object = None


def assign(fake, received):
    fake.reply(received, status="assigned", cluster=7, confidence=0.5)


class Pipeline(TestCase):
    timeout = 60

    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.downloads = []
        self.pages = {}  # by address, a body, a status or an exception
        self.open_pipelines = []

    def tearDown(self):
        for pipeline in self.open_pipelines:
            pipeline.close_spider(None)

    def make(self, ingest=assign, **settings):
        self.fake = FakeDaemon(ingest)
        self.addCleanup(self.fake.__exit__)
        return self.pipeline({"SHOAL_PORT_BASE": self.fake.port,
                              "SHOAL_GIVE_UP_AFTER": 20, **settings})

    def pipeline(self, settings):
        settings = Settings({"REQUEST_FINGERPRINTER_IMPLEMENTATION": "2.7",
                             **settings})
        crawler = types.SimpleNamespace(
            settings=settings, spider=types.SimpleNamespace(name="spidér"),
            engine=types.SimpleNamespace(download=self.download))
        crawler.stats = MemoryStatsCollector(types.SimpleNamespace(
            settings=settings))
        crawler.request_fingerprinter = RequestFingerprinter(
            types.SimpleNamespace(settings=settings))
        made = ShoalPipeline.from_crawler(crawler)
        made.open_spider(crawler.spider)
        self.open_pipelines.append(made)
        self.stats = crawler.stats
        return made

    def download(self, request):
        self.downloads.append(request.url)
        page = self.pages[request.url]
        if isinstance(page, Exception):
            return task.deferLater(reactor, 0, self.fail_with, page)
        if isinstance(page, int):
            return defer.succeed(Response(request.url, status=page))
        return task.deferLater(reactor, 0, Response, request.url, body=page)

    @staticmethod
    def fail_with(error):
        raise error

    def counts(self):
        return {key: value for key, value in self.stats.get_stats().items()
                if key.startswith("shoal/")}

    @defer.inlineCallbacks
    def test_bytes_of_every_kind_of_item(self):
        pipeline = self.make()
        for item in ({"image_bytes": b"x"}, Item(image_bytes=[b"x"])):
            out = yield pipeline.process_item(item, None)
            self.assertIs(out, item)
            self.assertEqual(item["shoal"], [{
                "url": None, "id": "some-id", "status": "assigned",
                "cluster": 7, "confidence": 0.5, "state": "assigned",
                "error": None}])
        self.assertEqual(self.fake.images[0].fields, {
            "v": 1, "seq": 1, "source": "spidér", "ack": "assigned"})
        for item in ({}, {"image_bytes": []}, {"image_urls": None}):
            yield pipeline.process_item(item, None)
            self.assertEqual(item["shoal"], [])

    @defer.inlineCallbacks
    def test_addresses_are_fetched_once_and_carry_their_meta(self):
        pipeline = self.make()
        self.pages = {"http://site/a.png": b"A", "http://cdn/b.png": b"B"}
        first = Page(["/a.png", "http://cdn/b.png"],
                     image_alts=["the a", "x" * 9999])
        second = Page(["http://site/a.png", "http://site/a.png#same"],
                      "http://site/other", {"http://site/a.png": "later"})
        yield defer.gatherResults([pipeline.process_item(first, None),
                                   pipeline.process_item(second, None)])
        third = Page(["http://cdn/b.png"])
        yield pipeline.process_item(third, None)
        self.assertEqual(sorted(self.downloads), sorted(self.pages))
        for item, count in ((first, 2), (second, 2), (third, 1)):
            self.assertEqual([o["cluster"] for o in item.shoal], [7] * count)
        meta = {i.image: i.fields["meta"] for i in self.fake.images}
        self.assertEqual(meta[b"A"], {
            "page": "http://site/page", "image": "http://site/a.png",
            "alt": "the a"})
        self.assertEqual(meta[b"B"]["alt"], "x" * 4096)
        self.assertEqual(self.counts(), {"shoal/images": 2,
                                         "shoal/stored": 2,
                                         "shoal/known_url": 3})

    @defer.inlineCallbacks
    def test_what_the_pipelines_of_scrapy_stored_is_read_from_there(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("images", "files"):
                pathlib.Path(folder, name, "full").mkdir(parents=True)
                pathlib.Path(folder, name, "full", "1").write_bytes(
                    name.encode())
            pipeline = self.make(IMAGES_STORE=folder + "/images",
                                 FILES_STORE="file://%s/files" % folder,
                                 FILES_RESULT_FIELD="documents")
            item = {"image_urls": ["http://s/0", "http://s/1"],
                    "image_alts": ["zero", "one"],
                    "images": [{"url": "http://s/1", "path": "full/1"}],
                    "documents": [{"url": "http://s/2", "path": "full/1"},
                                  {"url": "http://s/3", "path": "gone"}]}
            yield pipeline.process_item(item, None)
        self.assertEqual({i.image: i.fields["meta"]
                          for i in self.fake.images},
                         {b"images": {"image": "http://s/1", "alt": "one"},
                          b"files": {"image": "http://s/2",
                                     "alt": "zero"}})
        self.assertEqual([o["status"] for o in item["shoal"]],
                         ["assigned", "assigned", "failed"])
        self.assertEqual(item["shoal"][2]["error"]["code"], "unreadable")
        self.assertEqual(self.downloads, [])

    @defer.inlineCallbacks
    def test_each_end_has_its_counter_and_no_item_is_lost(self):
        def answer(fake, received):
            kind = received.image.decode()
            error = {"code": kind, "message": "m"}
            if kind == "broken_image":
                fake.reply(received, status="assigned", cluster=None,
                           error=error)
            elif kind == "shutting_down":
                fake.reply(received, status="stored", error=error)
            elif kind == "too_large":
                fake.reply(received, status="rejected", error=error)
            elif kind == "junk":
                fake.raw(received, b"junk")
            elif kind == "duplicate":
                fake.reply(received, status="duplicate", cluster=None)
            elif kind == "busy" and sum(i.image == b"busy"
                                        for i in fake.images) < 3:
                fake.reply(received, status="busy", retry_after_ms=1)
            else:
                assign(fake, received)

        pipeline = self.make(answer)
        self.pages = {"http://s/gone": 404, "http://s/odd": OSError("reset")}
        kinds = [b"broken_image", b"shutting_down", b"too_large", b"junk",
                 b"duplicate", b"busy"]
        item = {"image_bytes": kinds}
        yield pipeline.process_item(item, None)
        self.assertEqual(
            [(o["status"], o["state"], o["error"] and o["error"]["code"])
             for o in item["shoal"]],
            [("assigned", "unassigned", "broken_image"),
             ("stored", "pending", "shutting_down"),
             ("rejected", None, "too_large"),
             ("failed", None, "protocol"),
             ("duplicate", "unassigned", None),
             ("assigned", "assigned", None)])
        item = {"image_urls": ["http://s/gone", "http://s/odd", "no scheme"]}
        yield pipeline.process_item(item, None)
        self.assertEqual([o["error"]["code"] for o in item["shoal"]],
                         ["http_404", "OSError", "bad_url"])
        self.assertEqual(self.counts(), {
            "shoal/images": 6, "shoal/stored": 3, "shoal/duplicate": 1,
            "shoal/rejected/too_large": 1, "shoal/unusable/broken_image": 1,
            "shoal/failed/protocol": 1, "shoal/busy_retries": 2,
            "shoal/download_failed/http_404": 1,
            "shoal/download_failed/OSError": 1,
            "shoal/download_failed/bad_url": 1})
        # What failed is tried again on the next page.
        self.pages["http://s/gone"] = b"fine"
        item = {"image_urls": ["http://s/gone"]}
        self.assertEqual(self.counts()["shoal/images"], 6)
        yield pipeline.process_item(item, None)
        self.assertEqual(item["shoal"][0]["status"], "assigned")
        self.assertEqual(self.counts()["shoal/images"], 7)

    @defer.inlineCallbacks
    def test_a_daemon_that_is_away_costs_images_and_no_item(self):
        pipeline = self.make(SHOAL_GIVE_UP_AFTER=0.3)
        self.fake.stop()
        item = {"image_bytes": b"x"}
        yield pipeline.process_item(item, None)
        self.assertEqual(item["shoal"][0]["error"]["code"], "unreachable")
        self.assertEqual(self.counts(), {"shoal/images": 1,
                                         "shoal/failed/unreachable": 1})
        self.fake.start()
        yield pipeline.process_item(item, None)
        self.assertEqual(item["shoal"][0]["status"], "assigned")

    @defer.inlineCallbacks
    def test_a_cluster_that_does_not_come_in_time_is_pending(self):
        def slow(fake, received):
            if received.fields.get("ack") != "assigned":
                fake.reply(received, status="duplicate")

        pipeline = self.make(slow, SHOAL_GIVE_UP_AFTER=1)
        item = {"image_bytes": b"x"}
        yield pipeline.process_item(item, None)
        self.assertEqual([item["shoal"][0][key] for key in
                          ("status", "state", "error")],
                         ["duplicate", "pending", None])
        self.assertEqual(self.counts(), {"shoal/images": 1,
                                         "shoal/duplicate": 1})

    @defer.inlineCallbacks
    def test_items_without_the_field_or_with_nonsense_go_on(self):
        pipeline = self.make()
        item = NoField(image_bytes=b"x")
        out = yield pipeline.process_item(item, None)
        self.assertIs(out, item)
        item = {"image_bytes": 7}
        out = yield pipeline.process_item(item, None)
        self.assertIs(out, item)
        self.assertEqual(self.counts(), {
            "shoal/images": 1, "shoal/stored": 1, "shoal/no_result_field": 1,
            "shoal/failed/bad_item": 1})

    @defer.inlineCallbacks
    def test_few_are_in_flight_and_the_reactor_never_waits(self):
        held, most, turns = [], [0], [0]
        turned = threading.Event()
        goes_on = []

        def turn():
            turns[0] += len(self.fake.images) > 0
            if turns[0] == 10:
                turned.set()

        def hold(fake, received):
            # The first answer waits for ten turns of the reactor.
            if not held and not goes_on:
                goes_on.append(turned.wait(20))
            held.append(received)
            most[0] = max(most[0], len(held))
            left = total - len(fake.images) + len(held)
            if len(held) >= min(5, left):
                for each in held:
                    fake.reply(each, status="assigned", cluster=1)
                held.clear()

        total = 60
        pipeline = self.make(hold, SHOAL_CONCURRENT_IMAGES=5)
        self.pages = {"http://s/%d" % i: b"%d" % i for i in range(total)}
        ticker = task.LoopingCall(turn)
        ticker.start(0.005)
        items = [{"image_urls": ["http://s/%d" % i for i in
                                 range(n, total, 3)]} for n in range(3)]
        done = [pipeline.process_item(item, None) for item in items]
        # Downloads wait for their turn as well: only these bytes are here.
        self.assertEqual(len(self.downloads), 5)
        yield defer.gatherResults(done)
        ticker.stop()
        self.assertEqual(most[0], 5)
        self.assertEqual(self.counts()["shoal/stored"], total)
        self.assertEqual(goes_on, [True])
        self.assertEqual(len({i.peer for i in self.fake.images}), 5)

    def test_settings_that_make_no_sense_are_told_at_the_start(self):
        for settings, text in (
                ({"SHOAL_ENDPOINT": "nonsense"}, "tcp://HOST"),
                ({"SHOAL_PORT_BASE": "many"}, "many"),
                ({"SHOAL_ACK": "maybe"}, "use 'stored' or 'assigned'"),
                ({"SHOAL_CONCURRENT_IMAGES": 0}, "1 to 1000"),
                ({"SHOAL_GIVE_UP_AFTER": -1}, "SHOAL_GIVE_UP_AFTER")):
            with self.assertRaisesRegex(
                    ValueError, "settings of ShoalPipeline: .*" + text):
                self.pipeline(settings)

    @defer.inlineCallbacks
    def test_a_store_elsewhere_is_told(self):
        pipeline = self.make(IMAGES_STORE="s3://bucket/images")
        item = {"images": [{"url": "http://s/1", "path": "full/1"}]}
        yield pipeline.process_item(item, None)
        self.assertEqual(self.counts(), {"shoal/failed/bad_item": 1})

    @defer.inlineCallbacks
    def test_threads_and_connections_end_with_the_spider(self):
        pipeline = self.make()
        yield defer.gatherResults([
            pipeline.process_item({"image_bytes": b"x"}, None)
            for _ in range(20)])
        self.assertTrue(self.shoal_threads())
        pipeline.close_spider(None)
        self.open_pipelines.remove(pipeline)
        self.assertFalse(self.shoal_threads())
        self.assertEqual(pipeline._clients.qsize(), 0)

    @staticmethod
    def shoal_threads():
        return [t for t in threading.enumerate() if "shoal" in t.name]


if __name__ == "__main__":
    unittest.main()
