"""The Python client and its command line on the real daemon: every op, a
daemon killed under ingest_many, events, and the same answers as shoalctl.

usage: python_client.py BIN-DIR CLIENTS-PYTHON"""

import datetime
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from daemon import Daemon, rendered_images

sys.path.insert(0, sys.argv[2])
import shoal  # noqa: E402  (it is not installed)


def expect(kind, use, code=None):
    try:
        use()
    except kind as error:
        if code is not None:
            assert error.code == code, error
        return error
    raise AssertionError("no %s" % kind.__name__)


def wait_for(client, condition, what, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        status = client.status()
        if condition(status):
            return status
        assert time.monotonic() < deadline, (what, status)
        time.sleep(0.05)


def ingest(client, daemon, images):
    name, data = images[0]
    zone = datetime.timezone(datetime.timedelta(hours=2))
    reply = client.ingest(
        data, id=name, source="a test", meta={"alt": "ein Bäumchen"},
        captured_at=datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=zone),
        ack="assigned")
    assert (reply.id, reply.status, reply.has_cluster, reply.cluster) == (
        name, "assigned", True, None), reply
    image = client.image(name)
    assert image.captured_at == datetime.datetime(
        2026, 1, 2, 1, 4, 5, 6, tzinfo=datetime.timezone.utc), image
    assert (image.source, image.meta, image.state, image.size_bytes) == (
        "a test", {"alt": "ein Bäumchen"}, "unassigned", len(data)), image
    assert client.image_bytes(name) == data

    path = daemon.folder / "hash.jpg"
    path.write_bytes(images[1][1])
    by_hash = client.ingest(path)
    assert by_hash.id == hashlib.sha256(images[1][1]).hexdigest()[:32]
    assert client.ingest(str(path)).status == "duplicate"
    assert client.delete(by_hash.id) == 1
    expect(shoal.NotFound, lambda: client.image(by_hash.id))

    for code, arguments in (
            ("empty_image", {"image": b""}),
            ("not_an_image", {"image": b"<!DOCTYPE html><html></html>"}),
            ("truncated_image", {"image": data[:len(data) // 2]}),
            ("id_conflict", {"image": images[1][1], "id": name}),
            ("bad_id", {"image": data, "id": ""}),
            ("bad_field", {"image": data, "captured_at": "noon"}),
            ("bad_field", {"image": data, "meta": {"a": "x" * 20000}}),
            ("bad_field", {"image": data, "source": "x" * 300})):
        expect(shoal.Rejected, lambda: client.ingest(**arguments), code)
    rejected = client.rejected(2)
    assert rejected.total == 8 and len(rejected.rejected) == 2, rejected
    assert rejected.rejected[0].code == "bad_field", rejected
    assert rejected.counts["truncated_image"] == 1, rejected
    # What never left the client is not counted by the daemon.
    missing = list(client.ingest_many([daemon.folder / "missing.jpg"]))
    assert missing[0].error.code == "unreadable", missing
    assert client.status().rejected == 8


def killed(client, daemon, images):
    """Ends of the daemon while images are in flight: each gets its answer,
    none is stored twice."""
    answered = []
    quarter = threading.Semaphore(0)

    def note(reply):
        answered.append(reply)
        if len(answered) % (len(images) // 4) == 0:
            quarter.release()

    failures = []

    def send():
        try:
            source = (shoal.Image(data, id=name) for name, data in images)
            for reply in client.ingest_many(source, window=16,
                                            on_reply=note):
                reply.check()
        except BaseException as error:  # told by the main thread
            failures.append(error)
            quarter.release(3)

    sender = threading.Thread(target=send)
    sender.start()
    for end in (daemon.kill, daemon.terminate, daemon.kill):
        assert quarter.acquire(timeout=60)
        end()
        daemon.start()
    sender.join(120)
    assert not sender.is_alive() and not failures, failures
    assert sorted(r.id for r in answered) == sorted(n for n, _ in images)
    status = wait_for(client, lambda s: s.pending == 0, "the backlog")
    assert status.images == len(images), status
    print("killed twice, ended once: %d answered, %d as duplicates"
          % (len(answered), sum(r.status == "duplicate" for r in answered)))


def runs(client, images):
    expect(shoal.Conflict, lambda: client.similar(images[0][0]), "no_epoch")
    expect(shoal.Conflict, client.cancel, "conflict")
    with client.events("epoch.") as events:
        # After its restart the daemon looks for images without features, and
        # refuses a run for that moment.
        deadline = time.monotonic() + 60
        run = None
        while run is None:
            try:
                run = client.refine()
            except shoal.Conflict as error:
                assert time.monotonic() < deadline, error
                time.sleep(0.05)
        epoch = client.wait_for_run(run, timeout=300)
        assert epoch.status == "published" and epoch.current, epoch
        event = events.next(20)
        assert event.topic == "epoch.published", event
        assert event.fields["epoch"] == epoch.epoch, event
    held = client.refine(wait=True, dry_run=True, wait_timeout=300)
    assert held.status == "held" and not held.current, held
    assert client.publish(held.epoch) == held.epoch
    wait_for(client, lambda s: s.epoch == held.epoch and not s.refining,
             "the publication")
    assert client.rollback(epoch.epoch) == epoch.epoch
    wait_for(client, lambda s: s.epoch == epoch.epoch and not s.refining,
             "the rollback")
    run = client.refine()
    expect(shoal.Busy, client.refine, "busy")
    assert client.cancel() == run
    assert client.wait_for_run(run).status == "failed"
    assert client.status().last_run.epoch == run
    expect(shoal.NotFound, lambda: client.rollback(99))
    assert [e.epoch for e in client.epochs() if e.current] == [epoch.epoch]


def reading(client, images):
    clusters = client.clusters()
    assert len(clusters) > 5, clusters
    assert clusters.epoch == client.status().epoch
    total = clusters.unassigned
    for cluster in clusters:
        members = list(client.members(cluster.cluster, page_size=7))
        assert len({m.id for m in members}) == cluster.size, cluster
        total += cluster.size
    assert len(list(client.unassigned())) == clusters.unassigned
    assert total == len(images) == client.status().images
    name, data = images[3]
    cluster = client.image(name).cluster
    nearest = client.similar(name, k=5)
    assert len(nearest) == 5 and name not in [n.id for n in nearest]
    again = client.similar(image=data, k=1)
    assert again[0].id == name and again[0].cluster == cluster, again
    expect(shoal.Rejected, lambda: client.similar(image=b"x" * 99),
           "not_an_image")
    expect(shoal.NotFound, lambda: list(client.members(4711)))
    expect(shoal.Rejected, lambda: client.similar(name, k=0), "bad_field")
    history = client.history(name)
    assert history[0].cause == "arrival", history
    assert history[-1].to_cluster == cluster, history
    born = {e.cluster for e in client.lineage() if e.kind == "born"}
    assert {c.cluster for c in clusters} <= born, born
    expect(shoal.Rejected, lambda: client.call("explode"), "unknown_op")


def corrections(client, daemon):
    big = sorted(client.clusters(), key=lambda c: -c.size)
    a, b = big[0].cluster, big[1].cluster
    of_a = [m.id for m in client.members(a)]
    of_b = [m.id for m in client.members(b)]
    assert client.confirm(of_a[0]).correction > 0
    assert client.image(of_a[0]).state == "confirmed"
    rejected = client.reject([of_a[1]])
    assert client.image(of_a[1]).cluster != a
    undone = client.undo(rejected.correction)
    assert undone > rejected.correction
    assert client.image(of_a[1]).cluster == a
    expect(shoal.Conflict, lambda: client.undo(rejected.correction))
    client.move(of_a[1:3], b)
    assert [client.image(i).cluster for i in of_a[1:3]] == [b, b]
    new = client.split(b, of_b[:3]).cluster
    assert {m.id for m in client.members(new)} == set(of_b[:3])
    client.name(new, "Äpfel")
    assert client.cluster(new).name == "Äpfel"
    merged = client.merge(new, b)
    assert merged.cluster == b
    retired = client.cluster(new)
    assert retired.retired and retired.successors == (b,), retired
    assert client.undo() > merged.correction
    assert not client.cluster(new).retired
    expect(shoal.Rejected, lambda: client.merge(b, b), "invalid")
    expect(shoal.Rejected, lambda: client.confirm([]), "bad_field")
    copy = daemon.folder / "copy"
    assert client.backup(copy) == str(copy)
    assert copy.is_dir()
    expect(shoal.Rejected, lambda: client.backup("relative"), "bad_field")


def command_line(client, daemon, images):
    def run(*arguments, code=0, given=None):
        done = subprocess.run(
            ["/usr/bin/python3", "-m", "shoal", "--port-base",
             str(daemon.port), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": sys.argv[2]}, text=True,
            input=given, capture_output=True, timeout=60, check=False)
        assert done.returncode == code, (arguments, done)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def lines(*arguments, code=0, given=None):
        return [json.loads(line) for line in
                run(*arguments, "--json", code=code,
                    given=given).stdout.splitlines()]

    # The same as shoalctl, line for line.
    names = [images[2][0], images[4][0]]
    picture = daemon.folder / "picture.jpg"
    picture.write_bytes(images[5][1])
    cluster = client.image(names[0]).cluster
    for command in (["image", *names], ["clusters"],
                    ["members", cluster], ["members", cluster, "--limit", 2],
                    ["similar", names[0], "-k", 3],
                    ["similar", names[0], "--id"], ["similar", picture]):
        ours = lines(*command)
        assert ours and ours == daemon.ctl(*command)[1], (command, ours)
    ours, theirs = lines("status")[0], daemon.ctl("status")[1][0]
    del ours["uptime_seconds"], theirs["uptime_seconds"]
    assert ours == theirs, (ours, theirs)

    folder = daemon.folder / "in"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for path in ("b.jpg", "deep/a.jpg", ".c.jpg", ".hidden/d.jpg"):
        (folder / path).write_bytes(images[6][1])
    (folder / "note.txt").write_text("not a picture")
    before = client.status().images
    sent = lines("ingest", folder, "/missing", "--id-from", "path", "--wait",
                 "--source", "cli", code=1)
    by_path = {line["path"]: line for line in sent}
    assert set(by_path) == {"%s/b.jpg" % folder, "%s/deep/a.jpg" % folder,
                            "%s/note.txt" % folder, "/missing"}, sent
    assert by_path["/missing"]["error"]["code"] == "unreadable"
    assert by_path["%s/note.txt" % folder]["error"][
        "code"] == "not_an_image"
    for name in ("b.jpg", "deep/a.jpg"):
        line = by_path["%s/%s" % (folder, name)]
        assert line["status"] == "assigned" and line["id"] == line["path"]
        assert line["cluster"] == client.image(line["id"]).cluster, line
        assert client.image(line["id"]).source == "cli"
    assert client.status().images == before + 2
    assert lines("ingest", "-", "--id-from", "path",
                 given="%s/b.jpg\n\n" % folder)[0]["status"] == "duplicate"
    # For people; text that would move a cursor is made harmless.
    text = run("image", names[0]).stdout
    assert "state" in text and names[0] in text, text
    assert "/?[2J: " in run("ingest", "/\x1b[2J", code=1).stderr
    assert "CONFIRMED" in run("clusters").stdout

    run("image", names[0], "no such image", code=3)
    run("members", 4711, code=3)
    run("similar", "no such image", code=3)
    run("similar", folder / "note.txt", code=1)
    assert "not valid UTF-8" in run("image", "\udcff", code=1).stderr
    for usage in ([], ["explode"], ["image"], ["members", "x"],
                  ["members", 0], ["similar", "a", "-k", 0],
                  ["ingest"], ["status", "--timeout", "-1"],
                  ["status", "--endpoint", "tcp://127.0.0.1"]):
        run(*usage, code=2)
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "shoal", "status", "--endpoint",
         "tcp://127.0.0.1:%d" % (daemon.port + 4), "--timeout", "0.3"],
        env={**os.environ, "PYTHONPATH": sys.argv[2]}, text=True,
        capture_output=True, timeout=60, check=False)
    assert done.returncode == 4 and "no daemon at" in done.stderr, done

    watch = subprocess.Popen(
        ["/usr/bin/python3", "-m", "shoal", "--port-base", str(daemon.port),
         "watch", "image.assigned", "--count", "2", "--json"],
        env={**os.environ, "PYTHONPATH": sys.argv[2]}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert "watching" in watch.stderr.readline()
    # The subscription takes a moment: until two events came.
    number = 0
    while watch.poll() is None:
        number += 1
        assert number < 500
        client.ingest(images[7][1], id="watched-%d" % number,
                      ack="assigned")
    events = [json.loads(line) for line in watch.stdout]
    assert watch.returncode == 0 and len(events) == 2, events
    for event in events:
        assert event["topic"] == "image.assigned", event
        assert event["id"].startswith("watched-") and event["at"], event
    watch.stdout.close()
    watch.stderr.close()
    version = subprocess.run([daemon.bin_dir / "shoalctl", "--version"],
                             capture_output=True, text=True, check=True)
    assert version.stdout.split()[-1] == shoal.__version__, version
    assert shoal.__version__ in run("--version").stdout


def ends(client, daemon, images):
    """A daemon that stands still, shuts down, is gone."""
    client.ingest(images[0][1], id=images[0][0])
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        with shoal.Client(port_base=daemon.port, timeout=0.5,
                          connect_timeout=0.5, give_up_after=1) as other:
            expect((shoal.Timeout, shoal.Unreachable), other.status)
            expect((shoal.Timeout, shoal.Unreachable),
                   lambda: other.ingest(images[0][1]))
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert client.status().images > 0
    with client.events() as events:
        assert daemon.terminate() == 0
        daemon.start()
        while events.reconnects == 0:
            events.next(0.05)
    assert client.status().images > 0
    assert daemon.terminate() == 0
    with shoal.Client(port_base=daemon.port, connect_timeout=0.3) as other:
        expect(shoal.Unreachable, other.status)
        error = expect(shoal.Unreachable, lambda: list(other.ingest_many(
            [shoal.Image(b"x", id="never")])))
        assert [i.id for i in error.unacknowledged] == ["never"], error


def too_large(bin_dir, images):
    """What the daemon answers, and what it can only hang up on."""
    with Daemon(bin_dir, "--set", "network.max_message_bytes=64KiB", "--set",
                "ingest.max_image_bytes=32KiB", views=("color",)) as daemon:
        data = images[0][1]
        with shoal.Client(port_base=daemon.port, give_up_after=1) as client:
            expect(shoal.Rejected,
                   lambda: client.ingest(data + bytes(40 << 10)),
                   "too_large")
            error = expect(shoal.Unreachable,
                           lambda: client.ingest(data + bytes(99 << 10)))
            assert "network.max_message_bytes" in str(error), error
            assert client.ingest(data).status == "stored"


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    images = rendered_images(bin_dir, 12, 96)
    with Daemon(bin_dir, "--set", "refine.clusters=20", "--set",
                "bootstrap.min_images=10000", views=("hog", "color")
                ) as daemon, shoal.Client(port_base=daemon.port) as client:
        ingest(client, daemon, images)
        killed(client, daemon, images)
        runs(client, images)
        reading(client, images)
        corrections(client, daemon)
        command_line(client, daemon, images)
        ends(client, daemon, images)
    too_large(bin_dir, images)
    print("%d images, every op, the command line: as documented"
          % len(images))


if __name__ == "__main__":
    main()
