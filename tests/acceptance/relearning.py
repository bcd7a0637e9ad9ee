"""What a run does beyond learning: one that was cut off goes on, one that
would move too much is held until a person publishes it, and images of new
kinds begin a run by themselves.

usage: relearning.py BIN-DIR"""

import os
import pathlib
import signal
import sys
import tempfile
import time

from daemon import Daemon, Ingest, Query, rendered_images

OPTIONS = ("--set", "bootstrap.min_images=10000")


def wait_until(condition, seconds, what):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "no %s after %d s" % (what, seconds)
        time.sleep(0.01)


def send(daemon, query, images):
    Ingest(daemon).send_all(images)
    query.wait_for(lambda s: s["pending"] == 0, 300, "the images")


def goes_on(bin_dir, data_dir, images):
    """Kills the worker, then the daemon, each when the first view is done."""
    options = OPTIONS + ("--set", "refine.clusters=20",
                         "--set", "refine.method=mvec-jule")
    with Daemon(bin_dir, *options, data_dir=data_dir) as daemon:
        query = Query(daemon)
        send(daemon, query, images)

        def kept_steps():
            return len(list(data_dir.glob("runs/*/steps/*")))

        run = query.ask("refine")["run"]
        wait_until(lambda: kept_steps() > 0, 120, "finished step")
        os.kill(daemon.worker_pid(), signal.SIGKILL)
        query.wait_for(lambda s: not s["refining"], 30, "the run's end")
        assert query.epoch(run)["status"] == "failed", query.epoch(run)
        first = kept_steps()
        assert first > 0

        query.ask("refine")
        wait_until(lambda: kept_steps() > first, 120, "second step")
        daemon.kill()
        daemon.start()
        query = Query(daemon)
        second = kept_steps()
        assert second > first, (first, second)
        # Nothing that was learned meanwhile is lost by going on from before.
        send(daemon, query, [("late", images[0][1] + b"late")])
        epoch = query.refine()
        assert epoch["status"] == "published", epoch
        assert query.labels()["late"], "the late image has its cluster"
        assert not list(data_dir.glob("runs/*")), "the run's folder stays"
        log = daemon.log.read_text()
        assert log.count("event=run_goes_on") == 2, log
        labels = query.labels()

        # As a run that nobody disturbed.
        query.ask("delete", ids=["late"])
        again = query.refine()
        assert again["status"] == "published", again
        undisturbed = query.labels()
        moved = sum(labels[i] != undisturbed[i] for i in undisturbed)
        print("gone on with twice; %d of %d images elsewhere in a run that "
              "was not cut off" % (moved, len(undisturbed)))
        assert moved <= 0.05 * len(undisturbed), moved
        return again


def is_held(bin_dir, data_dir, before):
    options = OPTIONS + ("--set", "refine.clusters=5",
                         "--set", "refine.max_churn=0.3")
    with Daemon(bin_dir, *options, data_dir=data_dir) as daemon:
        query = Query(daemon)
        labels = query.labels()
        held = query.refine()
        assert held["status"] == "held", held
        assert "churn is 0." in held["reason"], held
        assert held["scores"]["clusters_merged"] > 0, held
        assert held["scores"]["images_moved"] > 0, held
        status = query.ask("status")
        assert status["epoch"] == before["epoch"]
        assert status["last_run"]["reason"] == held["reason"]
        assert query.labels() == labels
        print("held: %s" % held["reason"])
        query.ask("publish", epoch=held["epoch"])
        assert query.ask("status")["epoch"] == held["epoch"]
        assert query.labels() != labels


def begins_by_itself(bin_dir, known, new):
    with Daemon(bin_dir, *OPTIONS, "--set", "refine.discover_images=40",
                "--set", "refine.novelty_slack=0.6") as daemon:
        query = Query(daemon)
        send(daemon, query, known)
        first = query.refine()
        assert first["status"] == "published", first
        send(daemon, query, new)
        pool = query.ask("status")["unassigned"]
        query.wait_for(
            lambda s: not s["refining"] and s["last_run"]["epoch"] >
            first["epoch"], 120, "a run that begins by itself")
        last = query.ask("epochs")["epochs"][-1]
        log = daemon.log.read_text()
        assert "run=2 method=km reason=discover" in log, log
        # Whether it may be published the scores decide, as for any run.
        assert last["status"] in ("published", "held"), last
        print("%d of %d new images unassigned; a run began by itself: %s"
              % (pool, len(new), last["status"]))
        assert pool >= 40


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    images = rendered_images(bin_dir, 40, 96)
    with tempfile.TemporaryDirectory() as data_dir:
        before = goes_on(bin_dir, pathlib.Path(data_dir), images)
        is_held(bin_dir, pathlib.Path(data_dir), before)
    kinds = sorted({name.split("/")[0] for name, _ in images})
    known = [i for i in images if i[0].split("/")[0] in kinds[:10]]
    new = [i for i in images if i[0].split("/")[0] in kinds[10:]]
    begins_by_itself(bin_dir, known, new)


if __name__ == "__main__":
    main()
