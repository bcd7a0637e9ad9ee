"""`python3 -m shoal`: a part of shoalctl for where there is only Python."""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
from typing import Any, Iterable, Iterator, Optional, Sequence, TextIO

from . import __version__
from .client import Client
from .errors import NotFound, ShoalError, Timeout, Unavailable, Unreachable
from .ingest import Image, bytes_of
from .replies import IngestReply

DONE, FAILED, USAGE, NOT_FOUND, UNREACHABLE = range(5)
_INGEST_TIMEOUT = 60.0


class _Usage(Exception):
    """The command line asks for something that makes no sense."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.timeout is not None and options.timeout <= 0:
            raise _Usage("--timeout: %g is not above 0" % options.timeout)
        if options.endpoint is not None and options.port_base is not None:
            raise _Usage("--endpoint and --port-base exclude each other")
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except _Usage as error:
        _say(str(error))
        return USAGE
    except NotFound as error:
        _say(str(error))
        return NOT_FOUND
    except (Unreachable, Timeout, Unavailable) as error:
        _say(str(error))
        return UNREACHABLE
    except BrokenPipeError:
        # Whoever reads has had enough; the interpreter shall not flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ShoalError, OSError) as error:
        _say(str(error))
        return FAILED
    except UnicodeError as error:
        # Of the command line: the daemon's text is checked where it is read.
        _say("not valid UTF-8: %s" % error)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m shoal",
        description="Client of the image-clustering daemon shoald.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 daemon "
        "not reachable or timed out.")
    parser.add_argument("--version", action="version",
                        version="shoal %s" % __version__)
    _add_common(parser, None)
    commands = parser.add_subparsers(dest="command", required=True,
                                     metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        # The options above may also follow the command.
        _add_common(made, argparse.SUPPRESS)
        made.set_defaults(run=run)
        return made

    ingest = command("ingest", _ingest, "Send images to the daemon")
    ingest.add_argument("paths", nargs="+", metavar="PATH",
                        help="a file, a folder (the files below it; hidden "
                        "ones are left out), or - for a list of paths on "
                        "standard input")
    ingest.add_argument("--wait", action="store_true",
                        help="wait until each image has its cluster")
    ingest.add_argument("--source",
                        help="where the images come from, kept with each")
    ingest.add_argument("--id-from", choices=("hash", "path", "name"),
                        default="hash",
                        help="id of an image: the hash of its bytes "
                        "(default), its path as given, or its file name")
    ingest.add_argument("--window", type=_number(1, 10_000), default=64,
                        metavar="N", help="images in flight (64)")

    image = command("image", _image, "Show images")
    image.add_argument("ids", nargs="+", metavar="ID")

    command("clusters", _clusters, "List the clusters")

    members = command("members", _members, "List the images of a cluster")
    members.add_argument("cluster", type=_number(1, 1 << 63))
    members.add_argument("--limit", type=_number(0, 1 << 63), default=0,
                         metavar="N", help="most images; 0: all (default)")

    similar = command("similar", _similar, "List the images most like one")
    similar.add_argument("what", help="an id or a file")
    similar.add_argument("-k", type=_number(1, 1000), default=10,
                         metavar="N", help="how many (10)")
    similar.add_argument("--id", action="store_true",
                         help="it is an id even if there is such a file")

    command("status", _status, "Show how the daemon is")

    watch = command("watch", _watch, "Print events as they come")
    watch.add_argument("topics", nargs="*", metavar="TOPIC",
                       help="a topic or the beginning of one; none: all")
    watch.add_argument("--count", type=_number(0, 1 << 63), default=0,
                       metavar="N", help="end after so many; 0: never")
    return parser


def _add_common(parser: argparse.ArgumentParser, default: Any) -> None:
    parser.add_argument("--endpoint", default=default, metavar="E",
                        help="the daemon's tcp://HOST or tcp://HOST:PORT, "
                        "PORT being its port base")
    parser.add_argument("--port-base", type=int, default=default, metavar="N",
                        help="first of the daemon's four ports on this "
                        "machine (7301)")
    parser.add_argument("--json", action="store_true",
                        default=default or False,
                        help="one JSON object a line on standard output")
    parser.add_argument("--timeout", type=float, default=default,
                        metavar="S",
                        help="seconds to wait for an answer (10; ingest 60)")


def _number(least: int, most: int) -> Any:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError("%d is outside %d..%d"
                                             % (value, least, most))
        return value
    return number


def _client(options: argparse.Namespace, **more: Any) -> Client:
    timeout = options.timeout
    if timeout is not None:
        more.setdefault("timeout", timeout)
        more["connect_timeout"] = min(5.0, timeout)
    try:
        return Client(options.endpoint, port_base=options.port_base, **more)
    except ValueError as error:
        raise _Usage(str(error)) from None


# Commands.

def _ingest(options: argparse.Namespace) -> int:
    counts: collections.Counter[str] = collections.Counter()
    with _client(options, window=options.window,
                 give_up_after=options.timeout or _INGEST_TIMEOUT) as client:
        try:
            for reply in client.ingest_many(
                    _images(options),
                    ack="assigned" if options.wait else "stored"):
                counts[reply.status] += 1
                _print_reply(options, reply)
        finally:
            _say("%d images: %s" % (
                sum(counts.values()),
                ", ".join("%d %s" % (count, status)
                          for status, count in sorted(counts.items()))
                or "none"))
    return FAILED if counts["rejected"] else DONE


def _images(options: argparse.Namespace) -> Iterator[Image]:
    for path in _files(options.paths):
        name = {"hash": None, "path": path,
                "name": os.path.basename(path)}[options.id_from]
        yield Image(path, name, options.source, tag=path)


def _files(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if path == "-":
            for line in sys.stdin:
                if line.rstrip("\n"):
                    yield line.rstrip("\n")
        elif os.path.isdir(path):
            yield from _files_below(path)
        else:
            # A file that cannot be read is told when its turn comes.
            yield path


def _files_below(folder: str) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise error

    for at, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            path = os.path.join(at, name)
            if not name.startswith(".") and os.path.isfile(path):
                yield path


def _print_reply(options: argparse.Namespace, reply: IngestReply) -> None:
    path, error = reply.item.tag, reply.error
    if options.json:
        _print_json({"path": path, "id": reply.id or None,
                     "status": reply.status, "cluster": reply.cluster,
                     "confidence": reply.confidence,
                     "error": error and {"code": error.code,
                                         "message": error.message}})
        return
    if error is not None:
        _say("%s: %s [%s]" % (path, error.message, error.code))
    if reply.is_rejected:
        return
    text = "%s  %s" % (reply.status, reply.id)
    if reply.cluster is not None:
        text += "  cluster %d (%s)" % (reply.cluster,
                                       _cell(reply.confidence))
    elif reply.has_cluster:
        text += "  unassigned"
    _print("%s  %s" % (text, path))


def _image(options: argparse.Namespace) -> int:
    code = DONE
    with _client(options) as client:
        for id in options.ids:
            try:
                fields = client.call("image", id=id)
            except NotFound as error:
                _say(str(error))
                code = NOT_FOUND
                continue
            _print_object(options, fields)
    return code


def _clusters(options: argparse.Namespace) -> int:
    with _client(options) as client:
        rows = client.call("clusters").get("clusters") or []
    _print_table(options, rows, ("cluster", "size", "confirmed",
                                 "born_epoch", "name"))
    return DONE


def _members(options: argparse.Namespace) -> int:
    rows = []
    with _client(options) as client:
        for member in client.members(options.cluster):
            row = {"id": member.id, "state": member.state,
                   "confidence": member.confidence}
            if options.json:
                _print_json(row)
            else:
                rows.append(row)
            options.limit -= 1
            if options.limit == 0:
                break
    if not options.json:
        _print_table(options, rows, ("id", "state", "confidence"))
    return DONE


def _similar(options: argparse.Namespace) -> int:
    with _client(options) as client:
        if not options.id and os.path.isfile(options.what):
            data = bytes_of(Image(options.what), 1 << 30)
            fields = client.call("similar", image=data, k=options.k)
        else:
            fields = client.call("similar", id=options.what, k=options.k)
    _print_table(options, fields.get("similar") or [],
                 ("id", "score", "cluster"))
    return DONE


def _status(options: argparse.Namespace) -> int:
    with _client(options) as client:
        _print_object(options, client.call("status"))
    return DONE


def _watch(options: argparse.Namespace) -> int:
    with _client(options) as client, client.events(
            options.topics or "") as events:
        _say("watching %s" % client.endpoints.events)
        left = options.count
        for event in events:
            at = event.at and event.at.isoformat().replace("+00:00", "Z")
            if options.json:
                _print_json({**event.fields, "topic": event.topic, "at": at})
            else:
                _print("%s  %s  %s" % (at or "-", event.topic,
                                       _cell(dict(event.fields))))
                sys.stdout.flush()
            left -= 1
            if left == 0:
                break
    return DONE


# Output.

def _print_json(fields: Any) -> None:
    # Flushed line by line: whoever reads a pipe acts on each.
    print(json.dumps(fields), flush=True)


def _print(text: str, file: Optional[TextIO] = None) -> None:
    """Text that cannot move a terminal's cursor, in what it can show."""
    file = file or sys.stdout
    text = "".join(c if c.isprintable() else "?" for c in text)
    encoding = file.encoding or "ascii"
    print(text.encode(encoding, "replace").decode(encoding), file=file)


def _say(message: str) -> None:
    _print("shoal: " + message, sys.stderr)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "%.4g" % value
    if isinstance(value, dict):
        return " ".join("%s=%s" % (key, _cell(each))
                        for key, each in value.items()) or "-"
    if isinstance(value, list):
        return ",".join(map(_cell, value)) or "-"
    return str(value)


def _print_object(options: argparse.Namespace, fields: dict[str, Any]
                  ) -> None:
    if options.json:
        _print_json(fields)
        return
    longest = max(map(len, fields), default=0)
    for key, value in fields.items():
        _print("%s  %s" % (key.ljust(longest), _cell(value)))


def _print_table(options: argparse.Namespace, rows: Sequence[Any],
                 columns: Sequence[str]) -> None:
    if options.json:
        for row in rows:
            _print_json(row)
        return
    lines = [[name.upper() for name in columns]]
    for row in rows:
        lines.append([_cell(row.get(name)) for name in columns])
    widths = [max(len(line[i]) for line in lines)
              for i in range(len(columns))]
    for line in lines:
        _print("  ".join(cell.ljust(width) for cell, width
                         in zip(line, widths)).rstrip())
