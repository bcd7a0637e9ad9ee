"""COIL-20 through the whole system: every image acknowledged, stored and
assigned; clusters as good as scikit-learn's on the same features, in the
published epoch and for arrivals; neighbours that show the same object.

usage: coil.py BIN-DIR SHARED-DATA"""

import pathlib
import random
import subprocess
import sys

import numpy
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

from daemon import Daemon, Ingest, Query, require, shuffled_images

VIEWS = ("mobilenet_v2", "googlenet", "hog")
TOLERANCE = 0.02


def nmi(truth, labels):
    return normalized_mutual_info_score(truth, labels,
                                        average_method="geometric")


def features_of(daemon, query):
    """The stored features, L2-normalised view by view and joined, by id."""
    backup = daemon.folder / ("backup%d" % random.randrange(10**9))
    query.ask("backup", dir=str(backup))
    out = daemon.folder / "features"
    subprocess.run([daemon.bin_dir / "shoal-dump-features", backup, out],
                   check=True)
    ids = (out / "ids.txt").read_text().split("\n")[:-1]
    parts = []
    for view in VIEWS:
        part = numpy.fromfile(out / (view + ".f32"),
                              dtype=numpy.float32).reshape(len(ids), -1)
        assert numpy.isfinite(part).all(), view
        parts.append(part / numpy.linalg.norm(part, axis=1, keepdims=True))
    return dict(zip(ids, numpy.hstack(parts)))


def score(labels, truth, ids):
    """NMI with the unassigned as one more cluster, and their share."""
    found = [labels[i] or 0 for i in ids]
    return (nmi([truth[i] for i in ids], found),
            sum(1 for label in found if label == 0) / len(ids))


def published_epoch(bin_dir, options, images, truth):
    with Daemon(bin_dir, *options, views=VIEWS) as daemon:
        query = Query(daemon)
        ingest = Ingest(daemon)
        replies = ingest.send_all(images)
        assert len(replies) == len(images)
        assert all(r["status"] == "stored" for r in replies.values()), replies
        query.wait_for(lambda s: s["pending"] == 0 and not s["refining"], 600,
                       "the end of the backlog")
        epoch = query.refine()
        assert epoch["status"] == "published", epoch
        status = query.ask("status")
        assert status["images"] == len(images), status
        assert status["assigned"] == len(images), status
        assert status["clusters"] == 20, status
        labels = query.labels()
        assert sorted(labels) == sorted(truth)
        ours, unassigned = score(labels, truth, sorted(truth))
        assert unassigned == 0

        features = features_of(daemon, query)
        ids = sorted(features)
        rows = numpy.array([features[i] for i in ids])
        theirs = [nmi([truth[i] for i in ids],
                      KMeans(20, n_init=10, random_state=seed)
                      .fit_predict(rows)) for seed in range(5)]
        print("published epoch: NMI %.4f; scikit-learn KMeans %.4f +- %.4f"
              % (ours, numpy.mean(theirs), numpy.std(theirs)))
        assert ours >= numpy.mean(theirs) - TOLERANCE
        assert daemon.terminate() == 0


def online(bin_dir, options, images, truth):
    half = len(images) // 2
    with Daemon(bin_dir, *options, views=VIEWS) as daemon:
        query = Query(daemon)
        Ingest(daemon).send_all(images[:half])
        query.wait_for(lambda s: s["pending"] == 0 and not s["refining"], 600,
                       "the end of the first half")
        query.refine()
        replies = Ingest(daemon, ack="assigned").send_all(images[half:])
        assert all(r["status"] == "assigned" for r in replies.values())
        labels = query.labels()
        second = [i for i, _ in images[half:]]
        # What the reply said is what a query says afterwards.
        for index, reply in replies.items():
            assert reply["cluster"] == labels[images[half + index][0]]
        ours, unassigned = score(labels, truth, second)
        assigned_only = [i for i in second if labels[i]]
        ours_assigned = nmi([truth[i] for i in assigned_only],
                            [labels[i] for i in assigned_only])

        features = features_of(daemon, query)
        first_rows = numpy.array([features[i] for i, _ in images[:half]])
        second_rows = numpy.array([features[i] for i in second])
        theirs = [nmi([truth[i] for i in second],
                      KMeans(20, n_init=10, random_state=seed)
                      .fit(first_rows).predict(second_rows))
                  for seed in range(5)]
        print("online half: NMI %.4f (%.1f %% unassigned; %.4f without them);"
              " scikit-learn KMeans %.4f +- %.4f"
              % (ours, 100 * unassigned, ours_assigned, numpy.mean(theirs),
                 numpy.std(theirs)))
        assert ours >= numpy.mean(theirs) - TOLERANCE
        assert daemon.terminate() == 0


def neighbours(bin_dir, options, images, truth):
    with Daemon(bin_dir, *options, views=("mobilenet_v2",)) as daemon:
        query = Query(daemon)
        Ingest(daemon).send_all(images)
        query.wait_for(lambda s: s["pending"] == 0 and not s["refining"], 600,
                       "the end of the backlog")
        query.refine()
        # Also those that settled while the bootstrap run was published.
        assert query.ask("status")["assigned"] == len(images)
        same = total = 0
        for name, _ in images:
            found = query.ask("similar", id=name, k=10)["similar"]
            assert len(found) == 10, found
            assert name not in [n["id"] for n in found]
            scores = [n["score"] for n in found]
            assert scores == sorted(scores, reverse=True)
            same += sum(truth[n["id"]] == truth[name] for n in found)
            total += 10
        print("similar, k = 10: %.4f show the same object" % (same / total))
        assert same / total >= 0.95
        # By image bytes, as by id: the image itself comes first.
        name, content = images[0]
        found = query.ask("similar", image=content, k=1)["similar"]
        assert found[0]["id"] == name and found[0]["score"] > 0.999, found


def main():
    bin_dir, data = sys.argv[1], pathlib.Path(sys.argv[2])
    require(data / "coil100-20", "the COIL-20 photographs")
    require(data / "models" / "mobilenet_v2", "the pretrained models")
    images, truth = shuffled_images(data / "coil100-20")
    options = ["--models", data / "models", "--set", "refine.clusters=20"]
    published_epoch(bin_dir, options, images, truth)
    online(bin_dir, options, images, truth)
    neighbours(bin_dir, options, images, truth)


if __name__ == "__main__":
    main()
