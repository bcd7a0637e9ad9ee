"""Other views at a restart: nothing is lost, older images are extracted again,
a run starts by itself, and cluster ids stay. rp_pca learns its basis from the
first images and keeps it.

usage: views_change.py BIN-DIR"""

import pathlib
import subprocess
import sys

from bad_input import png
from daemon import Daemon, Ingest, Query, rendered_images


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    images = rendered_images(bin_dir, 15, 64)
    # One image that cannot be decoded stays in the pool through all of it.
    broken = png(50, 40, b"\xaa" * 400)
    first = ["--set", "refine.clusters=8"]
    with Daemon(bin_dir, *first, "--set", "views.use=hog") as daemon:
        query = Query(daemon)
        ingest = Ingest(daemon)
        ingest.send_all(images)
        bad = ingest.send_one(broken, id="broken", ack="assigned")
        assert bad["status"] == "assigned" and "error" in bad, bad
        query.wait_for(lambda s: s["pending"] == 0 and not s["refining"], 120,
                       "the backlog")
        query.refine()
        before = query.ask("clusters")
        assert daemon.terminate() == 0

        daemon.options[-1] = "views.use=hog,color"
        daemon.start()
        query = Query(daemon)
        status = query.wait_for(lambda s: s["epoch"] > before["epoch"], 120,
                                "the run on new views")
        assert status["images"] == len(images) + 1, status
        after = query.ask("clusters")
        assert after["unassigned"] == 1, after  # the broken one
        ids = {c["cluster"] for c in before["clusters"]}
        kept = ids & {c["cluster"] for c in after["clusters"]}
        assert len(kept) >= len(ids) / 2, (ids, after)
        assert query.ask("image", id="broken")["state"] == "unassigned"
        print("views hog -> hog+color: %d of %d cluster ids kept"
              % (len(kept), len(ids)))
        assert daemon.terminate() == 0
        check(bin_dir, daemon)

        daemon.options[-1] = "views.use=rp_pca"
        daemon.start()
        query = Query(daemon)
        epoch = after["epoch"]
        query.wait_for(lambda s: s["epoch"] > epoch, 120,
                       "the run on rp_pca")
        assert daemon.terminate() == 0
        check(bin_dir, daemon)

    with Daemon(bin_dir, *first, "--set", "views.pca_fit_images=200", "--set",
                "views.use=rp_pca") as daemon:
        query = Query(daemon)
        ingest = Ingest(daemon)
        ingest.send_all(images[:150])
        status = query.ask("status")
        assert status["pending"] == 150, status  # no basis yet
        ingest.send_all(images[150:])
        query.wait_for(lambda s: s["pending"] == 0 and s["epoch"], 120,
                       "the basis of rp_pca and the first epoch")
        assert query.ask("status")["views"] == ["rp_pca"]
        assert daemon.terminate() == 0
        check(bin_dir, daemon)
        print("rp_pca: learned after 200 images, then all were assigned")


def check(bin_dir, daemon):
    done = subprocess.run([bin_dir / "shoal-verify",
                           daemon.data_dir / "store"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout


if __name__ == "__main__":
    main()
