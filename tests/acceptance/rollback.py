"""Back to an older epoch and forward again, asked image by image: clusters
and confirmations are exactly what they were, what people said in between
stays, whether the daemon was killed meanwhile or not.

usage: rollback.py BIN-DIR"""

import pathlib
import random
import subprocess
import sys

from daemon import Daemon, Ingest, Query, rendered_images

KINDS = 12


def snapshot(query, names):
    """(cluster, state) of every image, asked one by one."""
    found = {}
    epoch = query.ask("status")["epoch"]
    for name in names:
        image = query.ask("image", id=name)
        assert image["epoch"] == epoch, image
        found[name] = (image["cluster"], image["state"])
    return found


def confirmed(labels):
    return {name for name, (_, state) in labels.items() if state == "confirmed"}


def differing(expected, found, but=()):
    return [(name, expected[name], found[name]) for name in expected
            if name not in but and found[name] != expected[name]]


def main():
    bin_dir = pathlib.Path(sys.argv[1])
    images = rendered_images(bin_dir, 40, 96)
    first, later = images[0::2], images[1::2]
    rng = random.Random(5)
    # Several views, so that runs have something to confirm.
    with Daemon(bin_dir, "--set", "refine.clusters=%d" % KINDS, "--set",
                "refine.method=mvec-km", "--set", "refine.confirm_share=0.4",
                "--set", "refine.confirm_agreement=0.5",
                "--set", "bootstrap.min_images=10000",
                views=("hog", "color")) as daemon:
        query = Query(daemon)
        first_names = [name for name, _ in first]
        names = [name for name, _ in images]
        Ingest(daemon).send_all(first)
        query.wait_for(lambda s: s["pending"] == 0, 300, "the first half")
        old = query.refine()
        assert old["status"] == "published", old
        old_labels = snapshot(query, first_names)
        assert confirmed(old_labels), "the first run confirmed nothing"

        Ingest(daemon).send_all(later)
        query.wait_for(lambda s: s["pending"] == 0, 300, "the second half")
        new = query.refine()
        assert new["status"] == "published", new
        new_labels = snapshot(query, names)
        assert confirmed(new_labels) > confirmed(old_labels)

        def check(labels, expected, corrected=()):
            wrong = differing(expected, labels, corrected)
            assert not wrong, (len(wrong), wrong[:3])

        def to_old():
            query.ask("rollback", epoch=old["epoch"])
            labels = snapshot(query, names)
            check(labels, old_labels, corrections)
            # What the newer run confirmed, also of later images, is not.
            assert confirmed(labels) - set(corrections) == \
                confirmed(old_labels) - set(corrections)
            return labels

        def to_new():
            query.ask("rollback", epoch=new["epoch"])
            labels = snapshot(query, names)
            check(labels, new_labels, corrections)
            return labels

        corrections = {}
        under_old = to_old()
        to_new()
        assert to_old() == under_old

        # People speak while the old epoch answers: of images that either run
        # had confirmed, and of such as none had.
        shared = sorted({c for c, _ in under_old.values() if c}
                        & {c for c, _ in new_labels.values() if c})
        assert len(shared) > 2, shared
        loose = [n for n in names if under_old[n][0] in shared
                 and n not in confirmed(new_labels)
                 and n not in confirmed(under_old)]
        of_new = [n for n in names if under_old[n][0] in shared
                  and n in confirmed(new_labels)
                  and n not in confirmed(under_old)]
        assert len(loose) >= 4 and len(of_new) >= 4, (len(loose), len(of_new))
        kept, moved, rejected, undone = zip(rng.sample(loose, 4),
                                            rng.sample(of_new, 4))

        def elsewhere(name):
            return rng.choice([c for c in shared if c != under_old[name][0]])

        query.ask("confirm", ids=list(kept))
        for name in kept:
            corrections[name] = (under_old[name][0], "confirmed")
        moves = {}
        for name in moved:
            cluster = elsewhere(name)
            moves[name] = query.ask("move", ids=[name],
                                    cluster=cluster)["correction"]
            corrections[name] = (cluster, "confirmed")
        ruled_out = {}
        for name in rejected:
            ruled_out[name] = under_old[name][0]
            query.ask("reject", ids=[name])
            corrections[name] = None
        for name in undone:
            number = query.ask("move", ids=[name],
                               cluster=elsewhere(name))["correction"]
            query.ask("undo", correction=number)
        query.ask("name", cluster=shared[0], name="the first")

        def check_people(labels):
            for name, wanted in corrections.items():
                if wanted is not None:
                    assert labels[name] == wanted, (name, wanted, labels[name])
            for name, cluster in ruled_out.items():
                assert labels[name][0] != cluster, (name, labels[name])
                assert labels[name][1] != "confirmed", (name, labels[name])
            names_of = {c["cluster"]: c["name"]
                        for c in query.ask("clusters")["clusters"]}
            assert names_of[shared[0]] == "the first", names_of

        corrected_old = snapshot(query, names)
        check(corrected_old, under_old, corrections)
        check_people(corrected_old)
        corrected_new = to_new()
        check_people(corrected_new)
        # There and back again, now with a kill on each side.
        for _ in range(2):
            assert to_old() == corrected_old
            daemon.kill()
            daemon.start()
            query.close()
            query = Query(daemon)
            assert snapshot(query, names) == corrected_old
            assert to_new() == corrected_new
            daemon.kill()
            daemon.start()
            query.close()
            query = Query(daemon)
            assert snapshot(query, names) == corrected_new

        # A person takes a move back: what the run had confirmed holds again.
        for name, number in moves.items():
            query.ask("undo", correction=number)
            del corrections[name]
        labels = snapshot(query, names)
        for name in moved:
            if name in of_new:
                assert labels[name] == new_labels[name], (
                    name, labels[name], new_labels[name])
            else:
                assert labels[name][1] == "assigned", labels[name]
        print("%d images, %d clusters in both epochs; %d confirmed by the "
              "first run, %d after the second; %d corrected in between"
              % (len(names), len(shared), len(confirmed(old_labels)),
                 len(confirmed(new_labels)),
                 len(kept) + len(moved) + len(rejected) + len(undone)))
        assert daemon.terminate() == 0
        verify = subprocess.run([bin_dir / "shoal-verify",
                                 daemon.data_dir / "store"],
                                capture_output=True, text=True, check=False)
        print(verify.stdout.strip(), verify.stderr.strip())
        assert verify.returncode == 0


if __name__ == "__main__":
    main()
