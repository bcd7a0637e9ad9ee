"""SIGKILLs of shoald at random moments while four clients ingest: no
acknowledged image is lost, none is doubled, every one gets its label.

usage: kills.py BIN-DIR [KILLS]"""

import random
import subprocess
import sys
import threading
import time

import pathlib

from daemon import Daemon, Ingest, Query, rendered_images

CLIENTS = 4
IMAGES_PER_KIND = 60
SECONDS_ALIVE = (0.3, 1.6)


class Client(threading.Thread):
    """Sends its images in a loop under ever new ids until told to stop."""

    def __init__(self, daemon, number, images, acknowledged, lock):
        super().__init__()
        self.ingest = Ingest(daemon, window=16, timeout=2)
        self.number = number
        self.images = images
        self.acknowledged = acknowledged
        self.lock = lock
        self.stop = threading.Event()
        self.error = None

    def run(self):
        round_number = 0
        try:
            while not self.stop.is_set():
                batch = [("c%d-%d-%d" % (self.number, round_number, i), image)
                         for i, image in enumerate(self.images)]

                def note(index, reply):
                    assert reply["status"] in ("stored", "duplicate"), reply
                    with self.lock:
                        self.acknowledged[batch[index][0]] = index

                # A handful at a time, so that stopping is quick.
                for begin in range(0, len(batch), 40):
                    if self.stop.is_set():
                        break
                    part = batch[begin:begin + 40]
                    self.ingest.send_all(
                        part, lambda i, r, b=begin: note(b + i, r))
                round_number += 1
        except BaseException as error:  # told by the main thread
            self.error = error
        finally:
            self.ingest.close()


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    rng = random.Random(4)
    images = [image for _, image in
              rendered_images(bin_dir, IMAGES_PER_KIND, 96)]
    rng.shuffle(images)
    share = len(images) // CLIENTS
    acknowledged = {}
    lock = threading.Lock()
    with Daemon(bin_dir, "--set", "refine.clusters=20", "--set",
                "bootstrap.min_images=500", views=("hog",)) as daemon:
        clients = [Client(daemon, n, images[n * share:(n + 1) * share],
                          acknowledged, lock) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        during_run = 0
        for kill in range(kills):
            time.sleep(rng.uniform(*SECONDS_ALIVE))
            if rng.random() < 0.3:
                # Now and then in the middle of a run or of its publishing.
                query = Query(daemon, timeout=5)
                try:
                    query.try_ask("refine")
                    time.sleep(rng.uniform(0, 1.5))
                    during_run += 1
                except TimeoutError:
                    pass  # it was busy being restarted
                query.close()
            daemon.kill()
            daemon.start(wait=False)
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join()
            if client.error:
                raise client.error
        daemon.wait_until_ready()
        query = Query(daemon)
        status = query.wait_for(
            lambda s: (s["pending"] == 0 and not s["refining"]
                       and s["epoch"]), 900,
            "the end of the backlog")
        labels = query.labels()
        lost = set(acknowledged) - set(labels)
        # Stored but never acknowledged, because the kill came in between, is
        # allowed; then the client has sent it again, under the same id.
        print("%d kills (%d in a run), %d images acknowledged, %d in the "
              "store, %d lost" % (kills, during_run, len(acknowledged),
                                  len(labels), len(lost)))
        assert not lost, sorted(lost)[:10]
        assert status["images"] == len(labels), (status, len(labels))
        assert len(acknowledged) > 0 and status["epoch"] is not None
        assert daemon.terminate(120) == 0
        verify = subprocess.run([bin_dir / "shoal-verify",
                                 daemon.data_dir / "store"],
                                capture_output=True, text=True, check=False)
        print(verify.stdout.strip(), verify.stderr.strip())
        assert verify.returncode == 0


if __name__ == "__main__":
    main()
