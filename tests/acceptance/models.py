"""shoalctl models: list, check, import and pull, against a web server on this
machine that also truncates, lies and fails.

usage: models.py BIN-DIR SHARED-DATA"""

import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import numpy

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
PHOTOS = ["cat.png", "grace_hopper.png", "hot_dog.jpg", "owl.jpg",
          "parrot.jpg", "sunflower.png"]
NAMES = {88: "macaw", 934: "hotdog", 652: "military uniform", 985: "daisy",
         24: "great grey owl", 281: "tabby"}


class Tool:
    def __init__(self, bin_dir, folder):
        self.program = pathlib.Path(bin_dir) / "shoalctl"
        self.models = folder / "models"

    def run(self, *words, code=0):
        """Standard output's lines as JSON, and standard error."""
        done = subprocess.run(
            [self.program, "--json", "models", *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=300, check=False,
            # Waiting threads that spin take time from a busy machine.
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == code, (words, done.returncode, out, err)
        return [json.loads(line) for line in out.splitlines()], err

    def fails(self, code, message, *words):
        lines, err = self.run(*words, code=code)
        assert lines == [], lines
        assert message in err, (message, err)

    def names(self):
        return sorted(p.name for p in self.models.iterdir())


class Handler(http.server.BaseHTTPRequestHandler):
    """/NAME gives server.files[NAME]; what goes wrong is told by the path."""

    protocol_version = "HTTP/1.0"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        kind, _, name = self.path[1:].partition("/")
        wanted = self.headers.get("Range")
        server.requests.append((kind, wanted))
        content = server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        if kind == "unavailable":
            self.send_error(503)
            return
        if kind == "elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/" + name)
            self.end_headers()
            return
        begin = 0
        if wanted and kind != "norange":
            begin = int(re.fullmatch(r"bytes=(\d+)-", wanted).group(1))
            if begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", "bytes %d-%d/%d" % (
                begin, len(content) - 1, len(content)))
        else:
            self.send_response(200)
        rest = content[begin:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        # "breaks" ends each connection a third of the way; "stops" does so
        # once and gives nothing after.
        if kind == "breaks":
            rest = rest[:max(len(content) // 3, 1)]
        if kind == "stops":
            rest = rest[:len(content) // 3] if not wanted else b""
        try:
            self.wfile.write(rest)
        except ConnectionError:
            pass  # the client has had enough


class Server:
    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.server.files = {}
        self.server.requests = []
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       daemon=True)
        self.thread.start()

    def url(self, kind, name):
        return "http://127.0.0.1:%d/%s/%s" % (self.server.server_port, kind,
                                              name)

    def ranges(self):
        """The Range headers of the requests since the last call."""
        seen, self.server.requests = self.server.requests, []
        return [wanted for _, wanted in seen]


def write_manifest(path, url, digest, extra=""):
    path.write_text(
        '[[model]]\nname = "net"\narchitecture = "squeezenet1_1"\n'
        'url = "%s"\nsha256 = "%s"\nlicence = "none"\n%s'
        % (url, digest, extra))
    return path


def check_shared_models(tool, data):
    """Every net's first answer is that of its independent reference."""
    rows, _ = tool.run("list", "--models", data / "models")
    assert len(rows) == 7, rows
    for row in rows:
        assert row["ok"] and row["error"] is None, row
        assert row["dim"] > 0 and row["width"] > 0 and row["bytes"] > 0, row
    right = {photo: [] for photo in PHOTOS}
    for row in rows:
        folder = data / "models" / row["name"]
        words = [w for p in PHOTOS for w in ("--image", data / "photos" / p)]
        lines, _ = tool.run("check", folder, *words)
        facts, answers = lines[0], lines[1:]
        assert facts["name"] == row["name"] and facts["parameters"] > 1e6
        assert [a["image"] for a in answers] == [
            str(data / "photos" / p) for p in PHOTOS]
        logits = numpy.load(folder / "reference.npz")["logits"]
        if logits.shape[1] == 0:
            assert facts["classes"] is None
            assert all(a["top"] == [] for a in answers)
            continue
        assert facts["classes"] == logits.shape[1]
        offset = logits.shape[1] - 1000
        for photo, answer, expected in zip(PHOTOS, answers, logits):
            top = answer["top"]
            assert len(top) == 5
            assert top[0]["class"] == expected.argmax() - offset, (
                row["name"], photo, top)
            if top[0]["class"] in NAMES:
                assert top[0]["name"] == NAMES[top[0]["class"]], top
            share = numpy.exp(expected - expected.max())
            share /= share.sum()
            assert abs(top[0]["probability"] - share.max()) < 0.15, (
                row["name"], photo, top, share.max())
            right[photo].append(top[0]["name"])
    # What data/README.md says the photographs show.
    for photo, name in (("hot_dog.jpg", "hotdog"), ("parrot.jpg", "macaw"),
                        ("sunflower.png", "daisy"),
                        ("grace_hopper.png", "military uniform")):
        print("%-18s %s" % (photo, right[photo]))
        assert right[photo].count(name) * 2 > len(right[photo]), (photo, right)


def check_import(tool, made):
    lines, _ = tool.run("import", made / "net.pth", "--arch", "squeezenet1_1",
                        "--name", "mine", "--models", tool.models)
    assert lines[0]["name"] == "mine" and lines[0]["dim"] == 512, lines
    assert tool.names() == ["mine"]
    lines, _ = tool.run("check", tool.models / "mine")
    assert lines[1]["image"] == "rendered" and lines[1]["feature_norm"] > 0
    assert [t["name"] for t in lines[1]["top"]] == [None] * 5  # ten classes
    tool.fails(1, "is there already", "import", made / "net.pth", "--arch",
               "squeezenet1_1", "--name", "mine", "--models", tool.models)
    tool.fails(3, "no file", "import", made / "absent.pth", "--arch",
               "squeezenet1_1", "--models", tool.models)
    tool.fails(1, "does not fit architecture", "import", made / "net.pth",
               "--arch", "mobilenet_v2", "--models", tool.models)
    tool.fails(2, "required", "import", made / "net.pth")
    tool.fails(2, "expected torch", "import", made / "net.pth", "--arch",
               "squeezenet1_1", "--preprocessing", "x")
    assert tool.names() == ["mine"]
    shutil.rmtree(tool.models)


def check_broken_folder(tool):
    folder = tool.models / "broken"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    rows, _ = tool.run("list", "--models", tool.models)
    assert rows[0]["name"] == "broken" and rows[0]["ok"] is False
    assert "name is missing" in rows[0]["error"], rows
    tool.fails(1, "name is missing", "check", folder)
    tool.fails(3, "absent", "check", tool.models / "absent")
    tool.fails(3, "absent", "list", "--models", tool.models / "absent")
    shutil.rmtree(tool.models)


def check_pull(tool, made, server):
    content = (made / "net.pth").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    server.server.files["net.pth"] = content
    manifest = made / "models.toml"
    part = tool.models / "net.part"
    pull = ["pull", "net", "--models", tool.models, "--manifest", manifest]

    def reset():
        shutil.rmtree(tool.models, ignore_errors=True)
        server.ranges()

    def expect_pulled():
        lines, _ = tool.run(*pull)
        assert lines[0]["name"] == "net" and lines[0]["dim"] == 512, lines
        assert tool.names() == ["net"], tool.names()
        model = json.loads((tool.models / "net" / "model.json").read_text())
        assert model["source"].startswith("http://127.0.0.1"), model

    reset()
    write_manifest(manifest, server.url("plain", "net.pth"), digest[:8])
    expect_pulled()
    assert server.ranges() == [None]
    tool.fails(1, "is there already", *pull)
    assert server.ranges() == []  # said before anything is fetched
    tool.run(*pull, "--force")

    reset()  # every connection breaks: taken up where it broke
    write_manifest(manifest, server.url("breaks", "net.pth"), digest,
                   "size_bytes = %d\n" % len(content))
    expect_pulled()
    ranges = server.ranges()
    assert ranges[0] is None and len(ranges) in (3, 4), ranges
    assert ranges[1] == "bytes=%d-" % (len(content) // 3), ranges

    reset()  # a try that ends for good leaves its part to the next one
    write_manifest(manifest, server.url("stops", "net.pth"), digest[:8])
    tool.fails(4, server.url("stops", "net.pth"), *pull)
    assert part.stat().st_size == len(content) // 3
    write_manifest(manifest, server.url("plain", "net.pth"), digest[:8])
    server.ranges()
    expect_pulled()
    assert server.ranges() == ["bytes=%d-" % (len(content) // 3)]

    reset()  # a server that cannot go on, and a part that is too long
    write_manifest(manifest, server.url("norange", "net.pth"), digest[:8])
    tool.models.mkdir()
    part.write_bytes(content[:1000])
    expect_pulled()
    reset()
    write_manifest(manifest, server.url("plain", "net.pth"), digest[:8])
    tool.models.mkdir()
    part.write_bytes(content + b"x")
    expect_pulled()

    reset()
    write_manifest(manifest, server.url("plain", "net.pth"), "0" * 8)
    tool.fails(1, "which does not begin with 00000000", *pull)
    assert tool.names() == []
    write_manifest(manifest, server.url("plain", "net.pth"), digest[:8],
                   "size_bytes = 1000\n")
    tool.fails(1, "larger than the 1000 bytes allowed", *pull)
    write_manifest(manifest, server.url("plain", "net.pth"), digest[:8],
                   "size_bytes = %d\n" % (len(content) + 1))
    reset()
    tool.fails(1, "it has %d bytes, not" % len(content), *pull)
    assert tool.names() == []

    write_manifest(manifest, server.url("plain", "absent.pth"), digest[:8])
    tool.fails(3, "/plain/absent.pth: the server answers 404", *pull)
    assert tool.names() == []
    write_manifest(manifest, server.url("unavailable", "net.pth"), digest[:8])
    tool.fails(4, "the server answers 503", *pull)
    write_manifest(manifest, server.url("elsewhere", "net.pth"), digest[:8])
    tool.fails(1, "/elsewhere/net.pth", *pull)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = "http://127.0.0.1:%d/net.pth" % closed.getsockname()[1]
        write_manifest(manifest, address, digest[:8])
        tool.fails(4, address, *pull)
    for address in ("http://example.org/net.pth", "ftp://127.0.0.1/net.pth",
                    "file:///etc/passwd", "no address"):
        write_manifest(manifest, address, digest[:8])
        tool.fails(1, address, *pull)
    assert tool.names() == []

    # A disk without room.
    write_manifest(manifest, server.url("plain", "net.pth"), digest[:8])
    part.symlink_to("/dev/full")
    tool.fails(1, "make room and try again", *pull)
    part.unlink(missing_ok=True)

    # A file that is what was meant and does not fit.
    server.server.files["other.pth"] = b"not a net"
    write_manifest(manifest, server.url("plain", "other.pth"),
                   hashlib.sha256(b"not a net").hexdigest())
    tool.fails(1, "neither a file of torch.save", *pull)
    assert tool.names() == []


def check_manifests(tool, made):
    known, _ = tool.run("pull")
    names = [m["name"] for m in known]
    assert "resnet50" in names and "xception" in names, names
    assert len(names) == len(set(names))
    for model in known:
        assert model["url"].startswith("https://"), model
    tool.fails(3, "no model nothing is listed", "pull", "nothing",
               "--models", tool.models)
    bad = made / "bad.toml"
    for text, message in (
            ("x", "bad.toml: 1: not valid TOML"),
            ("x = 1", "not a list of [[model]]"),
            ("[[model]]\nname = 1\n", "name is missing or no text"),
            ('[[model]]\nname = "a"\narchitecture = "b"\nurl = "c"\n'
             'sha256 = "1234567"\nlicence = "d"\n', "sha256 is not 8 to 64"),
            ('[[model]]\nname = "a"\narchitecture = "b"\nurl = "c"\n'
             'sha256 = "12345678"\nlicence = "d"\nsize = 3\n',
             "size is not a known key"),
    ):
        bad.write_text(text)
        tool.fails(1, message, "pull", "a", "--manifest", bad)
    tool.fails(3, "absent.toml", "pull", "a", "--manifest",
               made / "absent.toml")


def main(bin_dir, data):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="shoal-models-"))
    try:
        tool = Tool(bin_dir, folder)
        made = folder / "made"
        made.mkdir()
        code = subprocess.run(
            ["/usr/bin/python3", "-B", GOLDEN / "release_nets.py",
             "torchvision_squeezenet1_1", made], check=False).returncode
        if code == 77:
            print("needs python3-torchvision and python3-h5py")
            return 77
        assert code == 0
        check_import(tool, made)
        check_broken_folder(tool)
        check_manifests(tool, made)
        check_pull(tool, made, Server())
        # A client without the program beside it says so.
        alone = folder / "alone"
        alone.mkdir()
        shutil.copy(pathlib.Path(bin_dir) / "shoalctl", alone)
        done = subprocess.run([alone / "shoalctl", "models", "list"],
                              env={**os.environ, "PATH": str(alone)},
                              stderr=subprocess.PIPE, check=False)
        assert done.returncode == 1, done
        assert b"shoal-models does not start" in done.stderr, done
        data = pathlib.Path(data)
        if (data / "models").exists() and (data / "photos").exists():
            check_shared_models(tool, data)
        else:
            print("no shared models: their answers are not checked")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
