#!/usr/bin/env python3
"""Crawls a site and sends every picture on its pages to shoald.

usage: crawl_site.py URL... [--port-base N] [-s NAME=VALUE]...

Pages are followed within the hosts of the URLs given; pictures may be
anywhere. Each page is an item with the clusters of its pictures; --out writes
them as JSON lines. Politeness is Scrapy's: robots.txt is obeyed, and -s sets
any setting, e.g. -s DOWNLOAD_DELAY=1.
"""

import argparse
import json
import sys
import urllib.parse

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import TextResponse

SETTINGS = {
    "ITEM_PIPELINES": {"shoal.scrapy.ShoalPipeline": 300},
    "ROBOTSTXT_OBEY": True,
    "USER_AGENT": "shoal-crawl-site",
    # Pages that may wait for their pictures: each counts as 1 KiB at least.
    "SCRAPER_SLOT_MAX_ACTIVE_SIZE": 100_000,
    "LOG_LEVEL": "INFO",
    "TELNETCONSOLE_ENABLED": False,
    "REQUEST_FINGERPRINTER_IMPLEMENTATION": "2.7",
}


class SiteSpider(scrapy.Spider):
    name = "crawl_site"

    def __init__(self, urls, **kwargs):
        super().__init__(**kwargs)
        self.start_urls = urls
        self.hosts = {urllib.parse.urlsplit(url).netloc for url in urls}

    def parse(self, response):
        if not isinstance(response, TextResponse):
            return
        pictures = {}
        for picture in response.css("img[src]"):
            url = response.urljoin(picture.attrib["src"].strip())
            pictures.setdefault(url, picture.attrib.get("alt", ""))
        if pictures:
            yield {"page_url": response.url,
                   "image_urls": list(pictures),
                   "image_alts": list(pictures.values())}
        for link in response.css("a::attr(href)"):
            url = response.urljoin(link.get().strip())
            parts = urllib.parse.urlsplit(url)
            if (parts.scheme in ("http", "https")
                    and parts.netloc in self.hosts):
                yield scrapy.Request(url)


def main():
    parser = argparse.ArgumentParser(
        description="Crawls a site and sends every picture to shoald.")
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--port-base", type=int, default=7301, metavar="N",
                        help="of the daemon (7301)")
    parser.add_argument("--out", metavar="FILE",
                        help="items as JSON lines")
    parser.add_argument("--stats", metavar="FILE",
                        help="Scrapy's counters as JSON, at the end")
    parser.add_argument("-s", dest="settings", action="append", default=[],
                        metavar="NAME=VALUE", help="a Scrapy setting")
    options = parser.parse_args()
    settings = {**SETTINGS, "SHOAL_PORT_BASE": options.port_base}
    if options.out:
        settings["FEEDS"] = {options.out: {"format": "jsonlines",
                                           "encoding": "utf-8",
                                           "overwrite": True}}
    for setting in options.settings:
        name, separator, value = setting.partition("=")
        if not separator:
            parser.error("-s %s: it is NAME=VALUE" % setting)
        settings[name] = value
    process = CrawlerProcess(settings)
    crawler = process.create_crawler(SiteSpider)
    process.crawl(crawler, urls=options.urls)
    process.start()
    stats = crawler.stats.get_stats()
    if options.stats:
        with open(options.stats, "w", encoding="utf-8") as file:
            json.dump(stats, file, default=str)
    return 0 if stats.get("finish_reason") == "finished" else 1


if __name__ == "__main__":
    sys.exit(main())
