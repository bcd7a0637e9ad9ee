"""What shoal-refine.service runs, with the exit statuses that systemd sees:
a run that is published or skipped, or that somebody else has begun, is a
success; a daemon that is away, or goes away, is a failure.

usage: nightly.py BIN-DIR UNIT"""

import json
import pathlib
import shlex
import subprocess
import sys
import time

from daemon import Daemon, Ingest, Query, rendered_images


class Unit:
    """The command of the unit, against a daemon under test."""

    def __init__(self, bin_dir, unit, daemon):
        start = [line for line in pathlib.Path(unit).read_text().splitlines()
                 if line.startswith("ExecStart=")]
        words = shlex.split(start[0].split("=", 1)[1])
        assert pathlib.Path(words[0]).name == "shoalctl", words
        self.command = [bin_dir / "shoalctl", *words[1:],
                        "--port-base", str(daemon.port)]

    def start(self):
        return subprocess.Popen(self.command, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    @staticmethod
    def end(process):
        """Exit status, last line and messages."""
        out, err = process.communicate(timeout=300)
        lines = out.splitlines()
        return process.returncode, json.loads(lines[-1]) if lines else None, err

    def run(self):
        return self.end(self.start())


def main():
    bin_dir, unit_file = pathlib.Path(sys.argv[1]), sys.argv[2]
    images = rendered_images(bin_dir, 20, 96)
    with Daemon(bin_dir, "--set", "refine.clusters=20", "--set",
                "refine.min_new_images=1", "--set",
                "refine.max_churn=1", "--set",
                "bootstrap.min_images=10000") as daemon:
        unit = Unit(bin_dir, unit_file, daemon)
        query = Query(daemon)
        Ingest(daemon).send_all(images)
        query.wait_for(lambda s: s["pending"] == 0, 300, "the features")

        # Two nights at once: the second waits for the first one's run.
        first, second = unit.start(), unit.start()
        ends = [unit.end(first), unit.end(second)]
        assert [end[0] for end in ends] == [0, 0], ends
        statuses = {end[1]["status"] for end in ends}
        runs = {end[1]["run"] for end in ends}
        joined = "in progress" in ends[0][2] + ends[1][2]
        assert "published" in statuses, ends
        # Had the first ended before the second asked, that is skipped.
        assert len(runs) == (1 if joined else 2), ends
        published = query.ask("status")["epoch"]

        code, line, messages = unit.run()
        assert (code, line["status"]) == (0, "skipped"), (line, messages)
        assert line["epoch"] == published, line
        assert "images arrived" in line["reason"], line

        # The daemon dies while its run is waited for.
        Ingest(daemon, ack="assigned").send_one(images[0][1] + b"\0", id="new")
        waiting = unit.start()
        query.wait_for(lambda s: s["refining"], 30, "a run")
        daemon.kill()
        code, line, messages = unit.end(waiting)
        assert code == 4 and line is None and messages, (code, line)
        print("daemon killed: %s" % messages.splitlines()[-1])

        # It is away.
        started = time.time()
        code, line, messages = unit.run()
        assert code == 4 and line is None, (code, line)
        assert "no daemon at" in messages, messages
        assert time.time() - started < 60
        print("daemon away: %s" % messages.splitlines()[-1])

        # Back again, the night is made up for.
        daemon.start()
        code, line, messages = unit.run()
        assert (code, line["status"]) == (0, "published"), (line, messages)
        assert daemon.terminate() == 0


if __name__ == "__main__":
    main()
