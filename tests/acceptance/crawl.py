"""The example crawler on a site of this machine: pictures that are whole,
broken, empty, no pictures at all, the same twice, on slow pages. Whatever the
daemon does meanwhile (small queues, a kill), the numbers add up.

usage: crawl.py BIN-DIR SHARED-DATA CLIENTS-PYTHON [IMAGES]"""

import collections
import hashlib
import http.server
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

from daemon import Daemon, Query, require, shuffled_images

IMAGES_PER_PAGE = 20
SLOW_SECONDS = 0.5


class Site:
    """A site of pages with pictures on a free port of the loopback. `images`
    maps a path to its bytes; None is answered 404. Every page but the first
    also shows the site's logo."""

    def __init__(self, images, slow_pages=()):
        self.images = images
        paths = list(images)
        self.logo = paths[0]
        self.pages = [paths[i:i + IMAGES_PER_PAGE]
                      for i in range(0, len(paths), IMAGES_PER_PAGE)]
        self.slow_pages = set(slow_pages)
        self.lock = threading.Lock()
        self.served = collections.Counter()  # by path
        self.most_open_pages = 0
        self.on_image = lambda count: None
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler):
        path = handler.path
        body, kind, status = b"", "text/html", 200
        if path == "/":
            body = "".join('<p><a href="/page/%d">page</a>' % i
                           for i in range(len(self.pages))).encode()
        elif path.startswith("/page/"):
            number = int(path[len("/page/"):])
            if number in self.slow_pages:
                time.sleep(SLOW_SECONDS)
            body = self.page(number)
        elif self.images.get(path) is not None:
            body, kind = self.images[path], "image/jpeg"
        else:
            status = 404
        with self.lock:
            if status == 200:
                self.served[path] += 1
            self.most_open_pages = max(self.most_open_pages,
                                       self.open_pages())
            if path in self.images:
                self.on_image(self.images_served())
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def page(self, number):
        pictures = self.pages[number]
        if number > 0:
            pictures = [self.logo, *pictures]
        return ('<html><a href="/">home</a>' + "".join(
            '<img src="%s" alt="picture %s">' % (path, path)
            for path in pictures)).encode()

    def open_pages(self):
        """Pages that were fetched and have a picture that was not."""
        return sum(
            self.served["/page/%d" % i] > 0
            and any(self.images[path] is not None and not self.served[path]
                    for path in paths)
            for i, paths in enumerate(self.pages))

    def images_served(self):
        return sum(self.served[path] for path in self.images)


class Expected:
    """What must become of a site's pictures."""

    def __init__(self):
        self.rejected = collections.Counter()  # by code
        self.ids = set()  # of those stored
        self.duplicates = 0
        self.missing = 0

    @property
    def fetched(self):
        return (len(self.ids) + self.duplicates
                + sum(self.rejected.values()))


def make_images(photos, count):
    """`count` pictures by path, and what is expected of them. Of 50, one is
    cut short, one is HTML, one is empty, one is a copy of the bytes before it
    and one is not there."""
    images, expected = {}, Expected()
    photos = iter(photos)
    last = None
    for i in range(count):
        kind = i % 50
        if kind == 10:
            body = next(photos)
            body = body[:len(body) // 2]
            expected.rejected["truncated_image"] += 1
        elif kind == 20:
            body = b"<!DOCTYPE html><html>picture %d is gone</html>" % i
            expected.rejected["not_an_image"] += 1
        elif kind == 30:
            body = b""
            expected.rejected["empty_image"] += 1
        elif kind == 40:
            body = last
            expected.duplicates += 1
        elif kind == 45:
            body = None
            expected.missing += 1
        else:
            body = last = next(photos)
            expected.ids.add(image_id(body))
        images["/image/%d.jpg" % i] = body
    return images, expected


def image_id(data):
    return hashlib.sha256(data).hexdigest()[:32]


class Crawl:
    """One run of the example, and what it left."""

    def __init__(self, site, daemon, package, *settings):
        self.items_file = daemon.folder / "items.jl"
        self.stats_file = daemon.folder / "stats.json"
        self.process = subprocess.Popen(
            ["/usr/bin/python3", package / "examples" / "crawl_site.py",
             site.url, "--port-base", str(daemon.port), "--out",
             self.items_file, "--stats", self.stats_file,
             *(word for setting in settings for word in ("-s", setting))],
            env={**os.environ, "PYTHONPATH": str(package)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait(self, seconds=300):
        try:
            output = self.process.communicate(timeout=seconds)[0].decode()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the crawl does not end: " +
                                 self.process.communicate()[0].decode()[
                                     -3000:]) from None
        assert self.process.returncode == 0, output[-3000:]
        assert "Traceback" not in output, output[-3000:]
        self.stats = json.loads(self.stats_file.read_text())
        self.items = [json.loads(line) for line
                      in self.items_file.read_text().splitlines()]
        return self

    def count(self, name):
        return self.stats.get("shoal/" + name, 0)

    def counts(self, prefix):
        start = "shoal/%s/" % prefix
        return {key[len(start):]: value for key, value in self.stats.items()
                if key.startswith(start)}

    def outcomes(self):
        """By address, the outcomes of its picture on all pages."""
        found = collections.defaultdict(list)
        for item in self.items:
            assert len(item["shoal"]) == len(item["image_urls"]), item
            for url, outcome in zip(item["image_urls"], item["shoal"]):
                assert outcome["url"] == url, outcome
                found[url].append(outcome)
        return found

    def check(self, site, expected):
        """Each picture was fetched once and came to the end it had to."""
        served = site.images_served()
        assert served == expected.fetched, (served, expected.fetched)
        twice = [path for path in site.images if site.served[path] > 1]
        assert not twice, twice
        rejected = self.counts("rejected")
        assert self.count("images") == served, self.stats
        assert (self.count("stored") + self.count("duplicate")
                + sum(rejected.values())) == served, self.stats
        assert rejected == expected.rejected, (rejected, expected.rejected)
        assert self.counts("failed") == {}, self.stats
        assert self.counts("download_failed") == {
            "http_404": expected.missing}, self.stats
        # No item is lost, and none lacks a picture.
        assert len(self.items) == len(site.pages), len(self.items)
        assert self.stats["item_scraped_count"] == len(site.pages)
        outcomes = self.outcomes()
        assert set(outcomes) == {site.url + path for path in site.images}
        logo = outcomes[site.url + site.logo]
        assert len(logo) == len(site.pages), len(logo)
        # It was fetched for the first page and remembered for the others.
        assert self.count("known_url") == len(site.pages) - 1
        for path, body in site.images.items():
            outcome = outcomes[site.url + path][0]
            if body is None:
                assert outcome["status"] == "failed", outcome
                assert outcome["error"]["code"] == "http_404", outcome
            elif image_id(body) in expected.ids:
                assert outcome["status"] in ("assigned", "duplicate",
                                             "stored"), outcome
                assert outcome["id"] == image_id(body), outcome
                assert outcome["state"] in ("assigned", "unassigned",
                                            "pending"), outcome
            else:
                assert outcome["status"] == "rejected", outcome
                assert outcome["cluster"] is None, outcome
        return outcomes


def check_daemon(daemon, expected, rejected):
    """Exactly what was acknowledged is there."""
    query = Query(daemon)
    status = query.wait_for(lambda s: s["pending"] == 0, 60, "the backlog")
    assert status["images"] == len(expected.ids), status
    assert status["rejected"] == rejected, (status, rejected)
    for name in expected.ids:
        query.ask("image", id=name)
    return query


def whole_site(bin_dir, package, photos, count):
    """A crawl while the daemon learns its first epoch, then a second one, in
    which everything is known and has its cluster."""
    images, expected = make_images(photos, count)
    assert len(images) == count
    refused = sum(expected.rejected.values())
    with Daemon(bin_dir, views=("color",)) as daemon:
        with Site(images, slow_pages=range(0, 50, 10)) as site:
            crawl = Crawl(site, daemon, package).wait()
            outcomes = crawl.check(site, expected)
        assert crawl.count("stored") == len(expected.ids), crawl.stats
        assert crawl.count("duplicate") == expected.duplicates, crawl.stats
        query = check_daemon(daemon, expected, refused)
        for number, paths in enumerate(site.pages):
            for path in paths:
                if images[path] is None or image_id(
                        images[path]) not in expected.ids:
                    continue
                if outcomes[site.url + path][0]["status"] == "duplicate":
                    continue
                image = query.ask("image", id=image_id(images[path]))
                assert image["source"] == "crawl_site", image
                assert image["meta"]["image"] == site.url + path, image
                assert image["meta"]["alt"] == "picture " + path, image
                pages = {"%s/page/%d" % (site.url, number)}
                if path == site.logo:
                    pages = {"%s/page/%d" % (site.url, i)
                             for i in range(len(site.pages))}
                assert image["meta"]["page"] in pages, image
        print("%d pictures: %d stored, %d duplicate, %d rejected %s, %d "
              "busy retries; %d not there"
              % (count, crawl.count("stored"), crawl.count("duplicate"),
                 refused, dict(expected.rejected),
                 crawl.count("busy_retries"), expected.missing))

        query.wait_for(lambda s: s["epoch"] and not s["refining"], 120,
                       "the first epoch")
        with Site(images) as site:
            crawl = Crawl(site, daemon, package).wait()
            outcomes = crawl.check(site, expected)
        assert crawl.count("stored") == 0, crawl.stats
        check_daemon(daemon, expected, 2 * refused)
        clusters = set()
        for path, body in images.items():
            if body is None or image_id(body) not in expected.ids:
                continue
            outcome = outcomes[site.url + path][0]
            image = query.ask("image", id=outcome["id"])
            assert outcome["status"] == "duplicate", outcome
            assert outcome["cluster"] == image["cluster"], (outcome, image)
            assert outcome["state"] == image["state"], (outcome, image)
            clusters.add(outcome["cluster"])
        assert len(clusters) > 1, clusters
        print("again: %d duplicates in %d clusters"
              % (crawl.count("duplicate"), len(clusters)))


def small_queue(bin_dir, package, photos, count):
    """A daemon that takes one image at a time: `busy` is honoured, nothing is
    lost, and the crawl itself slows down."""
    images, expected = make_images(photos, count)
    active, requests = 6, 3
    with Daemon(bin_dir, "--set", "ingest.queue_images=1", "--set",
                "ingest.max_waiting_replies=2", "--set",
                "ingest.group_max_images=1", "--set",
                "ingest.retry_after=30ms", views=("color",)) as daemon:
        with Site(images) as site:
            crawl = Crawl(site, daemon, package,
                          "SCRAPER_SLOT_MAX_ACTIVE_SIZE=%d" % (1024 * active),
                          "CONCURRENT_REQUESTS=%d" % requests).wait()
            crawl.check(site, expected)
        assert crawl.count("busy_retries") > 0, crawl.stats
        assert crawl.count("stored") == len(expected.ids), crawl.stats
        check_daemon(daemon, expected, sum(expected.rejected.values()))
        # Those being scraped, and those that were under way already.
        limit = active + 1 + requests
        assert len(site.pages) > limit
        assert site.most_open_pages <= limit, site.most_open_pages
        print("a queue of one: %d pictures, %d busy retries, at most %d of "
              "%d pages open" % (count, crawl.count("busy_retries"),
                                 site.most_open_pages, len(site.pages)))


def kills(bin_dir, package, photos, count):
    """The daemon is killed twice during a crawl."""
    images, expected = make_images(photos, count)
    with Daemon(bin_dir, views=("color",)) as daemon:
        reached = threading.Event()
        with Site(images) as site:
            for share in (0.25, 0.6):
                site.on_image = (
                    lambda served, at=int(share * count):
                    reached.set() if served >= at else None)
                if share == 0.25:
                    crawl = Crawl(site, daemon, package)
                assert reached.wait(120), "the crawl stands still"
                daemon.kill()
                daemon.start()
                reached.clear()
            site.on_image = lambda served: None
            crawl.wait()
            crawl.check(site, expected)
        # What was stored when its answer was lost is told as a duplicate.
        assert (crawl.count("stored") + crawl.count("duplicate")
                == len(expected.ids) + expected.duplicates), crawl.stats
        status = Query(daemon).wait_for(lambda s: s["pending"] == 0, 60,
                                        "the backlog")
        assert status["images"] == len(expected.ids), status
        print("killed twice: %d pictures, %d stored, %d duplicate, none lost"
              % (count, crawl.count("stored"), crawl.count("duplicate")))


def after_files_pipeline(bin_dir, package, photos, count):
    """What Scrapy's own FilesPipeline has stored is sent from there."""
    images, expected = make_images(photos, count)
    with Daemon(bin_dir, views=("color",)) as daemon:
        with Site(images) as site:
            crawl = Crawl(
                site, daemon, package, "FILES_URLS_FIELD=image_urls",
                "FILES_STORE=%s" % (daemon.folder / "files"),
                "ITEM_PIPELINES=" + json.dumps({
                    "scrapy.pipelines.files.FilesPipeline": 100,
                    "shoal.scrapy.ShoalPipeline": 300})).wait()
        # It has no place for empty files, and the logo is in every item.
        del expected.rejected["empty_image"]
        expected.duplicates += len(site.pages) - 1
        assert crawl.count("images") == expected.fetched, crawl.stats
        assert crawl.count("stored") == len(expected.ids), crawl.stats
        assert crawl.count("duplicate") == expected.duplicates, crawl.stats
        assert crawl.counts("rejected") == expected.rejected, crawl.stats
        for item in crawl.items:
            assert ([o["url"] for o in item["shoal"]]
                    == [f["url"] for f in item["files"]]), item
        check_daemon(daemon, expected, sum(expected.rejected.values()))
        print("after FilesPipeline: %d files, %d stored, %d duplicate"
              % (crawl.count("images"), crawl.count("stored"),
                 crawl.count("duplicate")))


def main():
    bin_dir, data, package = map(pathlib.Path, sys.argv[1:4])
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 1000
    require(data / "caltech101-20", "photographs")
    photos = list({image_id(body): body for _, body
                   in shuffled_images(data / "caltech101-20")[0]}.values())
    random.Random(2).shuffle(photos)
    for part, share in ((whole_site, 1.0), (small_queue, 0.3), (kills, 0.3),
                        (after_files_pipeline, 0.1)):
        begin = time.time()
        part(bin_dir, package, photos, int(count * share))
        print("  %.1f s" % (time.time() - begin))


if __name__ == "__main__":
    main()
