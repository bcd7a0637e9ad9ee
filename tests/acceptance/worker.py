"""SIGKILL of shoal-refine in the middle of a run: ingest and queries do not
notice, the old epoch stands, and the next run works.

usage: worker.py BIN-DIR"""

import os
import pathlib
import signal
import sys
import time

from daemon import Daemon, Ingest, Query, rendered_images


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    images = rendered_images(bin_dir, 40, 96)
    first, later = images[0::2], images[1::2]
    with Daemon(bin_dir, "--set", "refine.clusters=20", "--set",
                "bootstrap.min_images=10000") as daemon:
        query = Query(daemon)
        Ingest(daemon).send_all(first)
        query.wait_for(lambda s: s["pending"] == 0, 300, "the first half")
        epoch = query.refine()
        assert epoch["status"] == "published", epoch
        labels = query.labels()

        run = query.ask("refine")["run"]
        pid = None
        deadline = time.time() + 30
        while pid is None and time.time() < deadline:
            pid = daemon.worker_pid()
        assert pid, "no worker was started"
        second = query.try_ask("refine")
        assert second["error"]["code"] == "busy", second
        os.kill(pid, signal.SIGKILL)
        # Ingest goes on at once; the epoch in force is the old one.
        reply = Ingest(daemon, ack="assigned").send_one(
            later[0][1], id=later[0][0])
        assert reply["status"] == "assigned", reply
        query.wait_for(lambda s: not s["refining"], 30, "the run's end")
        dead = query.epoch(run)
        assert dead["status"] == "failed" and "signal 9" in dead["reason"], dead
        assert query.ask("status")["epoch"] == epoch["epoch"]
        after = query.labels()
        assert {i: after[i] for i in labels} == labels
        print("killed worker: %s" % dead["reason"])

        # Cancelling is a clean end of the same kind.
        run = query.ask("refine")["run"]
        assert query.ask("cancel")["run"] == run
        query.wait_for(lambda s: not s["refining"], 30, "the cancelled run")
        assert query.epoch(run)["status"] == "failed"
        assert query.epoch(run)["reason"] == "cancelled"

        # So is a budget that is too small.
        run = query.ask("refine", max_minutes=0.0001)["run"]
        query.wait_for(lambda s: not s["refining"], 30, "the timed-out run")
        assert "budget" in query.epoch(run)["reason"], query.epoch(run)

        Ingest(daemon).send_all(later)
        query.wait_for(lambda s: s["pending"] == 0, 300, "the second half")
        again = query.refine()
        assert again["status"] == "published", again
        now = query.labels()

        # Back and forth: every label as it was.
        query.ask("rollback", epoch=epoch["epoch"])
        back = query.labels()
        assert {i: back[i] for i in labels} == labels
        query.ask("rollback", epoch=again["epoch"])
        assert query.labels() == now

        # A dry run is held, and can be published by hand.
        run = query.ask("refine", dry_run=True)["run"]
        query.wait_for(lambda s: not s["refining"], 60, "the dry run")
        assert query.epoch(run)["status"] == "held"
        assert query.ask("status")["epoch"] == again["epoch"]
        query.ask("publish", epoch=run)
        assert query.ask("status")["epoch"] == run
        assert daemon.terminate() == 0


if __name__ == "__main__":
    main()
