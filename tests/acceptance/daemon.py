"""A shoald under test, and a client of its wire protocol written from
docs/protocol.md alone, so that the C++ client is not tested against itself."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import msgpack
import zmq

DONE = {"stored", "assigned", "duplicate", "rejected"}


class Daemon:
    """Starts shoald on free ports of the loopback with a folder of its own."""

    def __init__(self, bin_dir, *options, data_dir=None, views=()):
        self.bin_dir = pathlib.Path(bin_dir)
        self.options = list(options)
        if views:
            self.options += ["--set", "views.use=" + ",".join(views)]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="shoal-test-"))
        self.data_dir = pathlib.Path(data_dir or self.folder / "data")
        self.log = self.folder / "log"
        self.process = None
        self.port = free_ports()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        if error[0] is not None and self.log.exists():
            sys.stderr.write("---- end of the daemon's log\n")
            sys.stderr.write(self.log.read_text()[-3000:])
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.bin_dir / "shoald", "--data-dir", self.data_dir,
                 "--port-base", str(self.port), *self.options],
                stdout=log, stderr=log)
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds=60):
        client = Query(self, timeout=1)
        deadline = time.time() + seconds
        while time.time() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(
                    "shoald ended with %d: %s"
                    % (self.process.returncode, self.log.read_text()[-2000:]))
            try:
                client.ask("status")
                client.close()
                return
            except TimeoutError:
                client.close()
                client = Query(self, timeout=1)
        raise AssertionError("shoald does not answer")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def terminate(self, seconds=60):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def ctl(self, *arguments, check=True, **more):
        """Runs shoalctl; returns its exit status and the JSON lines."""
        done = subprocess.run(
            [self.bin_dir / "shoalctl", "--port-base", str(self.port),
             "--json", *map(str, arguments)],
            capture_output=True, text=True, **more)
        if check and done.returncode != 0:
            raise AssertionError("shoalctl %s: %d %s"
                                 % (arguments, done.returncode, done.stderr))
        return done.returncode, [json.loads(line)
                                 for line in done.stdout.splitlines()]

    def worker_pid(self):
        """The shoal-refine child, or None."""
        path = "/proc/%d/task" % self.process.pid
        for task in os.listdir(path):
            try:
                children = pathlib.Path(path, task, "children").read_text()
                for pid in children.split():
                    if "shoal-refine" in pathlib.Path(
                            "/proc", pid, "cmdline").read_text():
                        return int(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread or the child has just ended
        return None


def free_ports():
    """A base such that base..base+3 can be bound on the loopback."""
    import socket
    for _ in range(200):
        base = random.randrange(20000, 32000)
        try:
            sockets = []
            for i in range(4):
                s = socket.socket()
                sockets.append(s)
                s.bind(("127.0.0.1", base + i))
            return base
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise AssertionError("no free ports")


class Query:
    def __init__(self, daemon, timeout=30):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvtimeo = int(timeout * 1000)
        self.socket.connect("tcp://127.0.0.1:%d" % (daemon.port + 1))
        self.seq = 0

    def close(self):
        self.socket.close()

    def ask_raw(self, frames):
        self.socket.send_multipart(frames)
        try:
            return self.socket.recv_multipart()[-1]
        except zmq.Again:
            raise TimeoutError("no answer") from None

    def try_ask(self, op, **fields):
        """The reply map, whether ok or not."""
        self.seq += 1
        reply = msgpack.unpackb(self.ask_raw(
            [msgpack.packb({"v": 1, "op": op, "seq": self.seq, **fields})]))
        while reply.get("seq") != self.seq:
            reply = msgpack.unpackb(self.socket.recv_multipart()[-1])
        return reply

    def ask(self, op, **fields):
        reply = self.try_ask(op, **fields)
        if not reply["ok"]:
            raise AssertionError("%s: %s" % (op, reply["error"]))
        return reply

    def wait_for(self, condition, seconds, what):
        deadline = time.time() + seconds
        while time.time() < deadline:
            status = self.ask("status")
            if condition(status):
                return status
            time.sleep(0.1)
        raise AssertionError("%s did not happen in %d s; %s"
                             % (what, seconds, self.ask("status")))

    def refine(self, seconds=600):
        """A whole run; returns its entry of `epochs`."""
        run = self.ask("refine")["run"]
        self.wait_for(lambda s: not s["refining"], seconds, "the run's end")
        return self.epoch(run)

    def epoch(self, number):
        return [e for e in self.ask("epochs")["epochs"]
                if e["epoch"] == number][0]

    def labels(self):
        """Cluster of every labelled image, by id; None: unassigned."""
        found = {}
        for entry in self.ask("clusters")["clusters"]:
            for member in self.pages("members", cluster=entry["cluster"]):
                found[member["id"]] = entry["cluster"]
        for member in self.pages("unassigned"):
            found[member["id"]] = None
        return found

    def pages(self, op, **fields):
        cursor = None
        while True:
            reply = self.ask(op, cursor=cursor, **fields)
            yield from reply["members"]
            cursor = reply["cursor"]
            if cursor is None:
                return


class Ingest:
    """Sends images with a window, again after `busy` or silence."""

    def __init__(self, daemon, window=64, ack="stored", timeout=20):
        self.endpoint = "tcp://127.0.0.1:%d" % daemon.port
        self.window = window
        self.ack = ack
        self.timeout = timeout
        self.socket = None
        self.busy = 0
        self.connect()

    def connect(self):
        if self.socket:
            self.socket.close()
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(self.endpoint)

    def close(self):
        self.socket.close()

    def send_raw(self, frames):
        self.socket.send_multipart(frames)
        if not self.socket.poll(int(self.timeout * 1000)):
            raise TimeoutError("no answer")
        return msgpack.unpackb(self.socket.recv_multipart()[-1])

    def send_one(self, image, **header):
        header = {"v": 1, "seq": 1, "ack": self.ack, **header}
        return self.send_raw([msgpack.packb(header), image])

    def send_all(self, images, on_reply=None, give_up=300):
        """images: list of (id or None, bytes). Returns replies by index."""
        replies = {}
        todo = list(range(len(images)))[::-1]
        flying = {}
        not_before = 0.0
        deadline = time.time() + give_up
        while todo or flying:
            if time.time() > deadline:
                raise AssertionError("%d images unanswered"
                                     % (len(todo) + len(flying)))
            while (todo and len(flying) < self.window
                   and time.time() >= not_before):
                index = todo.pop()
                header = {"v": 1, "seq": index, "ack": self.ack}
                if images[index][0] is not None:
                    header["id"] = images[index][0]
                self.socket.send_multipart(
                    [msgpack.packb(header), images[index][1]])
                flying[index] = time.time()
            if self.socket.poll(20):
                reply = msgpack.unpackb(self.socket.recv_multipart()[-1])
                index = reply["seq"]
                if index not in flying:
                    continue
                del flying[index]
                if reply["status"] == "busy":
                    self.busy += 1
                    todo.append(index)
                    not_before = (time.time()
                                  + reply["retry_after_ms"] / 1000)
                else:
                    replies[index] = reply
                    if on_reply:
                        on_reply(index, reply)
            elif flying and time.time() - min(flying.values()) > self.timeout:
                self.connect()
                todo.extend(flying)
                flying.clear()
        return replies


def labelled_folder(folder, pattern="*"):
    """(path, class name) of every image below a folder of classes."""
    return [(path, path.parent.name)
            for path in sorted(pathlib.Path(folder).glob("*/" + pattern))]


def rendered_images(bin_dir, per_kind, side):
    """(id, bytes) of images drawn by shoal-demo-images: 20 kinds of shapes,
    `side` pixels wide."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([pathlib.Path(bin_dir) / "shoal-demo-images", folder,
                        "-n", str(per_kind), "--side", str(side)], check=True,
                       stdout=subprocess.DEVNULL)
        return [("%s/%s" % (kind, path.name), path.read_bytes())
                for path, kind in labelled_folder(folder, "*.jpg")]


def shuffled_images(folder):
    """(id, bytes) of every image of a folder of classes, always in the same
    random order, and each one's class by id."""
    images, truth = [], {}
    for path, kind in labelled_folder(folder):
        name = "%s/%s" % (kind, path.name)
        images.append((name, path.read_bytes()))
        truth[name] = kind
    random.Random(1).shuffle(images)
    return images, truth


def require(path, what):
    """Ends the test as skipped where `path` is absent."""
    if not pathlib.Path(path).exists():
        print("SKIPPED: needs %s (%s)" % (what, path))
        sys.exit(77)
