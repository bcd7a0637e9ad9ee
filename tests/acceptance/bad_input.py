"""Bad input is normal input: each kind gets its own code and a message, is
counted and listed, and harms nothing.

usage: bad_input.py BIN-DIR SHARED-DATA"""

import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib

import msgpack
import numpy
from PIL import Image

from daemon import Daemon, Ingest, Query


def photo(seed=0, size=(120, 90), mode="RGB"):
    """A picture with structure: gradients and blocks."""
    random = numpy.random.RandomState(seed)
    y, x = numpy.mgrid[0:size[1], 0:size[0]]
    pixels = numpy.stack([(x * 2 + y) % 256, (y * 3) % 256, (x + y * 2) % 256],
                         axis=-1)
    for _ in range(6):
        left, top = random.randint(0, size[0] - 20), random.randint(
            0, size[1] - 20)
        pixels[top:top + 20, left:left + 20] = random.randint(0, 255, 3)
    return Image.fromarray(pixels.astype(numpy.uint8)).convert(mode)


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width, height, data):
    """A PNG whose structure is right, whatever its header and data say."""
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))

    return (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2,
                                         0, 0, 0))
            + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def counter(daemon, code):
    url = "http://127.0.0.1:%d/metrics" % (daemon.port + 3)
    wanted = 'shoal_rejected_total{code="%s"} ' % code
    for line in urllib.request.urlopen(url).read().decode().splitlines():
        if line.startswith(wanted):
            return float(line[len(wanted):])
    raise AssertionError("no counter for " + code)


class Refusals:
    """Sends one bad thing after the other and checks what comes of it."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.query = Query(daemon)
        self.ingest = Ingest(daemon)
        self.count = 0

    def expect(self, what, code, reply_of):
        before = counter(self.daemon, code)
        reply = reply_of()
        assert reply["status"] == "rejected", (what, reply)
        assert reply["error"]["code"] == code, (what, reply)
        assert len(reply["error"]["message"]) > 10, (what, reply)
        assert counter(self.daemon, code) == before + 1, what
        newest = self.query.ask("rejected", limit=1)
        assert newest["rejected"][0]["code"] == code, (what, newest)
        self.count += 1
        assert newest["total"] == self.count, (what, newest)
        assert newest["counts"][code] == before + 1, (what, newest)
        print("%-44s %s: %s" % (what, code, reply["error"]["message"]))
        return reply

    def image(self, what, code, image, **header):
        self.expect(what, code,
                    lambda: self.ingest.send_one(image, **header))

    def frames(self, what, code, frames):
        return self.expect(what, code, lambda: self.ingest.send_raw(frames))


def bad_files(refuse):
    jpeg = encode(photo(1), "JPEG")
    whole_png = encode(photo(2), "PNG")
    webp = encode(photo(3), "WEBP")
    refuse.image("zero bytes", "empty_image", b"")
    refuse.image("a text file", "not_an_image", b"Dear diary, " * 20)
    refuse.image("a text file called .jpg", "not_an_image", b"x" * 500,
                 id="holiday.jpg")
    refuse.image("an HTML error page", "not_an_image",
                 b"<!DOCTYPE html><html>404</html>")
    refuse.image("half a JPEG", "truncated_image", jpeg[:len(jpeg) // 2])
    refuse.image("half a PNG", "truncated_image", whole_png[:len(whole_png) // 2])
    refuse.image("half a WebP", "truncated_image", webp[:len(webp) // 2])
    refuse.image("a 60,000 x 60,000 header", "too_many_pixels",
                 png(60000, 60000, zlib.compress(b"\0" * 100)))
    refuse.image("the head of a HEIC file", "truncated_image",
                 b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    refuse.image("a JPEG XL file", "unsupported_format",
                 b"\xff\x0a" + b"\0" * 100)
    refuse.image("100 MB", "too_large", b"\xff\xd8" + b"\0" * (100 << 20))


def bad_headers(refuse):
    jpeg = encode(photo(4), "JPEG")

    def header(**fields):
        return [msgpack.packb({"v": 1, "seq": 5, **fields}), jpeg]

    refuse.frames("a header of text", "bad_message", [b"hello", jpeg])
    refuse.frames("an empty header", "bad_message",
                  [msgpack.packb({}), b"", b"", jpeg])
    refuse.frames("one frame", "bad_message", [msgpack.packb({"v": 1})])
    refuse.frames("a list for a map", "bad_message",
                  [msgpack.packb([1, 2]), jpeg])
    refuse.frames("100,000 nested lists", "bad_message",
                  [b"\x91" * 60000, jpeg])
    refuse.frames("a map cut short", "bad_message",
                  [msgpack.packb({"v": 1, "seq": 1})[:-1], jpeg])
    refuse.frames("no version", "missing_field",
                  [msgpack.packb({"seq": 5}), jpeg])
    refuse.frames("no seq", "missing_field", [msgpack.packb({"v": 1}), jpeg])
    refuse.frames("version 9", "bad_version",
                  [msgpack.packb({"v": 9, "seq": 5}), jpeg])
    for what, fields in (("seq a string", {"seq": "five"}),
                         ("meta a list", {"meta": [1]}),
                         ("meta of numbers", {"meta": {"a": 1}}),
                         ("source a map", {"source": {}}),
                         ("an unknown ack", {"ack": "maybe"}),
                         ("a time that is none", {"captured_at": "noon"})):
        refuse.frames(what, "bad_field", header(**fields))
    refuse.frames("id of 0 bytes", "bad_id", header(id=""))
    refuse.frames("id of 300 bytes", "bad_id", header(id="x" * 300))
    not_utf8 = msgpack.packb({"v": 1, "seq": 5}).replace(b"\x82", b"\x83", 1)
    refuse.frames("id not UTF-8", "bad_id",
                  [not_utf8 + b"\xa2id" + b"\xa2\xff\xfe", jpeg])


def good_files(daemon, refuse):
    """Unusual but fine: all are taken and get their features."""
    rotated = photo(20)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees, clockwise
    turned = rotated.transpose(Image.Transpose.ROTATE_90)
    deep = (numpy.asarray(photo(5, mode="L")).astype(numpy.uint16) << 8)
    frames = [photo(s).convert("P") for s in (6, 7)]
    files = {
        "cmyk": encode(photo(8, mode="CMYK"), "JPEG"),
        "grey": encode(photo(9, mode="L"), "JPEG"),
        "alpha": encode(photo(10, mode="RGBA"), "PNG"),
        "deep": encode(Image.fromarray(deep), "PNG"),
        "gif": encode(frames[0], "GIF", save_all=True,
                      append_images=frames[1:]),
        "webp": encode(photo(11), "WEBP", save_all=True,
                       append_images=[photo(12)]),
        "wrong-name.png": encode(photo(13), "JPEG"),
        "upright": encode(rotated, "PNG"),
        "turned": encode(turned, "PNG", exif=exif),
        "one-pixel": encode(Image.new("RGB", (1, 1), (9, 9, 9)), "PNG"),
        "flat": encode(Image.new("RGB", (50, 50)), "PNG"),
    }
    ingest = Ingest(daemon, ack="assigned")
    replies = ingest.send_all(list(files.items()))
    for index, reply in replies.items():
        assert reply["status"] == "assigned", reply
        assert "error" not in reply, reply
    # The same again is harmless; other bytes under the same id are not.
    again = ingest.send_one(files["grey"], id="grey")
    assert again["status"] == "duplicate", again
    refuse.image("an id sent again with other bytes", "id_conflict",
                 files["cmyk"], id="grey")
    kept = refuse.query.ask("bytes", id="grey")
    assert kept["image"] == files["grey"]

    # EXIF rotation is applied: both give the very same features.
    backup = daemon.folder / "backup"
    refuse.query.ask("backup", dir=str(backup))
    out = daemon.folder / "features"
    subprocess.run([daemon.bin_dir / "shoal-dump-features", backup, out],
                   check=True)
    ids = (out / "ids.txt").read_text().split()
    rows = numpy.fromfile(out / "hog.f32", dtype=numpy.float32).reshape(
        len(ids), -1)
    upright, other = rows[ids.index("upright")], rows[ids.index("turned")]
    assert numpy.array_equal(upright, other)
    assert not numpy.array_equal(upright, rows[ids.index("grey")])

    # Broken inside: the container is whole, the pixels are not. It was
    # acknowledged, so it is kept, and says what is wrong with it.
    broken = png(50, 40, b"\xaa" * 400)
    before = counter(daemon, "broken_image")
    reply = ingest.send_one(broken, id="broken-inside")
    assert reply["status"] == "assigned", reply
    assert reply["error"]["code"] == "broken_image", reply
    assert counter(daemon, "broken_image") == before + 1
    refuse.count += 1
    image = refuse.query.ask("image", id="broken-inside")
    assert image["state"] == "unassigned", image
    assert image["error"]["code"] == "broken_image", image
    assert refuse.query.ask("bytes", id="broken-inside")["image"] == broken
    print("%-44s %s: %s" % ("pixels that do not decode", "broken_image",
                            image["error"]["message"]))
    return files


def bad_queries(daemon):
    query = Query(daemon)

    def expect(code, op, **fields):
        reply = query.try_ask(op, **fields)
        assert not reply["ok"] and reply["error"]["code"] == code, (op, reply)

    expect("unknown_op", "explode")
    expect("not_found", "image", id="no such image")
    expect("missing_field", "image")
    expect("bad_field", "image", id=7)
    expect("bad_id", "image", id="")
    expect("not_found", "cluster", cluster=4711)
    expect("bad_field", "cluster", cluster="one")
    expect("bad_field", "unassigned", limit=-3)
    expect("bad_field", "unassigned", cursor="zzz")
    expect("no_epoch", "similar", id="grey")
    expect("conflict", "cancel")
    expect("not_found", "rollback", epoch=99)
    expect("no_epoch", "confirm", ids=["grey"])
    expect("bad_field", "confirm", ids=[])
    expect("bad_field", "backup", dir="relative/path")
    expect("conflict", "backup", dir="/tmp")
    for frame in (b"", b"\xc1", b"{", b"{}", b"[]", b"\x91" * 100000,
                  b'{"v":1}', os.urandom(1000)):
        raw = query.ask_raw([frame])
        text = raw if raw[:1] == b"{" else json.dumps(msgpack.unpackb(raw))
        assert not json.loads(text)["ok"], frame
    # JSON is answered in JSON.
    reply = json.loads(query.ask_raw([b'{"v":1,"op":"status"}']))
    assert reply["ok"] and reply["rejected"] > 0, reply


def bad_weights(bin_dir, models):
    source = models / "squeezenet1_1"
    if not source.exists():
        print("bad weights: skipped, needs %s" % source)
        return
    good = (source / "weights.safetensors").read_bytes()
    size = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8:8 + size])
    name = sorted(k for k in header if k != "__metadata__")[0]

    def with_header(change):
        other = json.loads(json.dumps(header))
        change(other)
        text = json.dumps(other).encode()
        return struct.pack("<Q", len(text)) + text + good[8 + size:]

    def past_the_end(h):
        h[name]["data_offsets"][1] = 1 << 40

    def other_shape(h):
        h[name]["shape"] = [7] + h[name]["shape"][1:]

    begin = 8 + size + header[name]["data_offsets"][0]
    nan = bytearray(good)
    nan[begin:begin + 4] = struct.pack("<f", float("nan"))
    for what, weights, words in (
            ("offsets past the end", with_header(past_the_end), (name,)),
            ("a shape that does not fit its bytes", with_header(other_shape),
             (name,)),
            ("NaN among the weights", bytes(nan), (name,)),
            ("weights cut short", good[:len(good) // 2], ("weights",)),
            ("an empty file", b"", ("weights",)),
            ("a header length of 2^60", struct.pack("<Q", 1 << 60) + good[8:],
             ("weights",))):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, "models", "squeezenet1_1")
            copy.mkdir(parents=True)
            shutil.copy(source / "model.json", copy)
            (copy / "weights.safetensors").write_bytes(weights)
            done = subprocess.run(
                [bin_dir / "shoald", "--data-dir", folder + "/data",
                 "--models", folder + "/models", "--port-base", "31990"],
                capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1, (what, done)
            message = [line for line in done.stderr.splitlines()
                       if "start_failed" in line]
            assert len(message) == 1, (what, done.stderr)
            for word in words:
                assert word in message[0], (what, message)
            print("%-44s %s" % (what, message[0][60:220]))


def bad_surroundings(bin_dir, daemon):
    def start(*options):
        return subprocess.run([bin_dir / "shoald", *options],
                              capture_output=True, text=True, timeout=60,
                              check=False)

    other_ports = ["--port-base", str(daemon.port + 10)]
    second = start("--data-dir", daemon.data_dir, *other_ports)
    assert second.returncode == 1, second
    assert "another" in second.stderr, second.stderr
    print("a second daemon on the store: %s"
          % [line for line in second.stderr.splitlines()
             if "start_failed" in line][0][25:])
    with tempfile.TemporaryDirectory() as folder:
        taken = start("--data-dir", folder, "--port-base", str(daemon.port))
        assert taken.returncode == 1, taken
        assert "--port-base" in taken.stderr, taken.stderr
    unwritable = start("--data-dir", "/proc/shoal", *other_ports)
    assert unwritable.returncode == 1, unwritable
    assert "--data-dir" in unwritable.stderr, unwritable.stderr
    config = start("--set", "ingest.queue_imagse=1", "--set",
                   "network.port_base=99999999", "--check-config")
    assert config.returncode == 2, config
    assert "queue_images" in config.stderr, config.stderr  # the nearest key
    assert "port_base" in config.stderr, config.stderr


def too_many_connections(bin_dir):
    """Beyond the limit a connection is refused and counted; it gets through
    by itself when another one goes."""
    with Daemon(bin_dir, "--set", "network.max_connections=3") as daemon:
        clients = [Query(daemon) for _ in range(3)]
        for client in clients:
            client.ask("status")
        late = Query(daemon, timeout=2)
        try:
            late.ask("status")
            raise AssertionError("a fourth connection was taken")
        except TimeoutError:
            pass
        for client in clients:
            client.ask("status")  # those inside do not notice
        url = "http://127.0.0.1:%d/metrics" % (daemon.port + 3)
        text = urllib.request.urlopen(url).read().decode()
        refused = [line for line in text.splitlines()
                   if line.startswith("shoal_connections_refused_total ")]
        assert float(refused[0].split()[1]) >= 1, refused
        clients.pop().close()
        late.socket.rcvtimeo = 20000
        assert msgpack.unpackb(late.socket.recv_multipart()[-1])["ok"]
        print("a fourth of three connections: refused, then let in")


def full_disk(bin_dir):
    """On a small file system of its own: nothing acknowledged is lost, and
    the daemon goes on by itself once there is room."""
    folder = tempfile.mkdtemp(prefix="shoal-full-")
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder],
        capture_output=True, check=False)
    if mount.returncode != 0:
        print("full disk: skipped, needs the right to mount a tmpfs")
        os.rmdir(folder)
        return
    try:
        # The daemon's own reserve first, then the disk itself.
        for reserve in ("24MiB", "0"):
            data = pathlib.Path(folder, "data-" + reserve)
            with Daemon(bin_dir, "--set",
                        "ingest.min_free_disk_bytes=" + reserve, "--set",
                        "store.write_buffer_bytes=8MiB", "--set",
                        "store.cache_bytes=32MiB", data_dir=data,
                        views=("color",)) as daemon:
                ingest = Ingest(daemon, window=1)
                query = Query(daemon)
                blob = encode(photo(30), "JPEG")
                acknowledged = []
                full = None
                for i in range(4000):
                    # A comment of random bytes: distinct and incompressible.
                    noise = os.urandom(60000)
                    image = (blob[:2] + b"\xff\xfe"
                             + struct.pack(">H", len(noise) + 2) + noise
                             + blob[2:])
                    reply = ingest.send_one(image, id="full-%d" % i)
                    if reply["status"] == "busy":
                        full = reply
                        break
                    assert reply["status"] == "stored", reply
                    acknowledged.append("full-%d" % i)
                assert full, "the disk never got full"
                assert full["error"]["code"] == "disk_full", full
                assert full["retry_after_ms"] > 0
                assert counter(daemon, "disk_full") > 0
                assert len(acknowledged) > 100
                query.ask("status")  # reads go on
                subprocess.run(["mount", "-o", "remount,size=400m", folder],
                               check=True)
                deadline = time.time() + 60
                reply = {"status": "busy"}
                while reply["status"] == "busy" and time.time() < deadline:
                    reply = ingest.send_one(image, id="after")
                assert reply["status"] == "stored", reply
                status = query.wait_for(lambda s: s["pending"] == 0, 120,
                                        "the backlog's end")
                assert status["images"] == len(acknowledged) + 1, (
                    status, len(acknowledged))
                for name in acknowledged:
                    query.ask("image", id=name)
                assert daemon.terminate() == 0
            print("full disk (reserve %s): %d acknowledged, all there: %s"
                  % (reserve, len(acknowledged), full["error"]["message"]))
            shutil.rmtree(data)
            subprocess.run(["mount", "-o", "remount,size=96m", folder],
                           check=True)
    finally:
        subprocess.run(["umount", folder], check=False)
        os.rmdir(folder)


def main():
    bin_dir, data = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    with Daemon(bin_dir) as daemon:
        refuse = Refusals(daemon)
        bad_files(refuse)
        bad_headers(refuse)
        files = good_files(daemon, refuse)
        bad_queries(daemon)
        bad_surroundings(bin_dir, daemon)
        status = refuse.query.ask("status")
        assert status["images"] == len(files) + 1, status
        assert status["pending"] == 0, status
        assert status["rejected"] == refuse.count, status
        # And it still works.
        reply = refuse.ingest.send_one(encode(photo(50), "JPEG"), id="last")
        assert reply["status"] == "stored", reply
        assert daemon.terminate() == 0
    too_many_connections(bin_dir)
    bad_weights(bin_dir, data / "models")
    full_disk(bin_dir)


if __name__ == "__main__":
    main()
