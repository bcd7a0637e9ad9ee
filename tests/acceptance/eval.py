"""shoal-eval on real photographs: what it writes is what NumPy reads and what
the daemon has; a second run reads its cache; Ctrl-C keeps what is finished;
the scores of clusterings are scikit-learn's; a stream of images is labelled as
it comes, and what its runs confirm stays.

usage: eval.py BIN-DIR SHARED-DATA"""

import csv
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy
from sklearn import metrics

from daemon import Daemon, Ingest, Query, require

VIEWS = ("hog", "gabor", "color", "rp", "mobilenet_v2")
LIMIT = 96


def shoal_eval(bin_dir, *arguments, status=0):
    done = subprocess.run([bin_dir / "shoal-eval", *map(str, arguments)],
                          capture_output=True, text=True)
    assert done.returncode == status, (arguments, done)
    return done


def read_out(out):
    with open(out / "index.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    features = {path.stem: numpy.load(path)
                for path in (out / "features").iterdir()}
    for name, values in features.items():
        assert values.dtype == numpy.float32 and values.flags.c_contiguous
        assert values.shape[0] == len(rows), (name, values.shape)
        assert numpy.isfinite(values).all(), name
    assert [int(row["row"]) for row in rows] == list(range(len(rows)))
    return rows, features


def check_features(bin_dir, data, folder):
    options = ("--data", data / "caltech101-20", "--models", data / "models",
               "--views", ",".join(VIEWS), "--cache", folder / "cache",
               "--features-only", "--limit", LIMIT)
    shoal_eval(bin_dir, *options, "--out", folder / "one")
    rows, features = read_out(folder / "one")
    assert len(rows) == LIMIT and sorted(features) == sorted(VIEWS)
    classes = sorted(path.name for path in (data / "caltech101-20").iterdir())
    for row in rows:
        assert row["name"].split("/")[0] == row["class"]
        assert classes[int(row["label"])] == row["class"]
    assert len({row["class"] for row in rows}) == 20

    again = shoal_eval(bin_dir, *options, "--out", folder / "two")
    assert again.stderr.count("read from") == len(VIEWS), again.stderr
    rows_again, features_again = read_out(folder / "two")
    assert rows_again == rows
    for view in VIEWS:
        assert (features[view] == features_again[view]).all(), view
    return rows, features


def check_against_daemon(bin_dir, data, rows, features):
    images = [(row["name"],
               (data / "caltech101-20" / row["name"]).read_bytes())
              for row in rows]
    # shoal-eval computes in fp32 unless told otherwise.
    options = ["--models", data / "models", "--set", "views.precision=fp32"]
    with Daemon(bin_dir, *options, views=VIEWS) as daemon:
        Ingest(daemon).send_all(images)
        query = Query(daemon)
        query.wait_for(lambda s: s["pending"] == 0, 300, "all features")
        backup = daemon.folder / ("backup%d" % random.randrange(10**9))
        query.ask("backup", dir=str(backup))
        out = daemon.folder / "features"
        subprocess.run([daemon.bin_dir / "shoal-dump-features", backup, out],
                       check=True)
        ids = (out / "ids.txt").read_text().split("\n")[:-1]
        place = {name: i for i, name in enumerate(ids)}
        order = [place[row["name"]] for row in rows]
        for view in VIEWS:
            theirs = numpy.fromfile(out / (view + ".f32"), numpy.float32)
            theirs = theirs.reshape(len(ids), -1)[order]
            # The store keeps fp16: a relative error of up to 2^-11.
            scale = numpy.abs(features[view]).max()
            worst = numpy.abs(theirs - features[view]).max() / scale
            print("%s: largest difference from the daemon's %.2g of the "
                  "largest value" % (view, worst))
            assert worst < 2 ** -10, view


def check_mnist(bin_dir, data, folder):
    shoal_eval(bin_dir, "--data", data / "mnist", "--views", "pixels",
               "--features-only", "--out", folder / "mnist")
    rows, features = read_out(folder / "mnist")
    import gzip
    raw = gzip.open(data / "mnist" / "t10k-images-idx3-ubyte.gz").read()
    digits = gzip.open(data / "mnist" / "t10k-labels-idx1-ubyte.gz").read()
    pixels = numpy.frombuffer(raw, numpy.uint8, offset=16).reshape(-1, 784)
    assert numpy.allclose(features["pixels"], pixels / 255)
    labels = numpy.frombuffer(digits, numpy.uint8, offset=8)
    assert [int(row["label"]) for row in rows] == labels.tolist()
    assert [row["class"] for row in rows] == [str(d) for d in labels]


def check_bad_files(bin_dir, data, folder):
    bad = folder / "bad"
    (bad / "cats").mkdir(parents=True)
    shutil.copy(data / "photos" / "cat.png", bad / "cats" / "a, b.png")
    (bad / "cats" / "text.jpg").write_text("hello")
    whole = (data / "photos" / "owl.jpg").read_bytes()
    (bad / "cats" / "half.jpg").write_bytes(whole[:len(whole) // 2])
    done = shoal_eval(bin_dir, "--data", bad, "--views", "color",
                      "--features-only", "--out", folder / "bad-out")
    assert "skipped 2 of 3 images" in done.stderr, done.stderr
    assert "half.jpg" in done.stderr and "text.jpg" in done.stderr
    rows, _ = read_out(folder / "bad-out")
    assert [row["name"] for row in rows] == ["cats/a, b.png"]
    (bad / "cats" / "a, b.png").unlink()
    shoal_eval(bin_dir, "--data", bad, "--views", "color", "--features-only",
               "--out", folder / "none", status=1)


def check_usage(bin_dir, data, folder):
    folder = folder / "usage"
    good = ("--data", data / "photos", "--out", folder)
    for several in ((), ("--features-only", "--methods", "km")):
        done = shoal_eval(bin_dir, *good, *several, status=2)
        assert "one of --methods, --stream and --fea" in done.stderr, several
    for apart in (("--methods", "km"), ("--features-only",),
                  ("--map-images", "9")):
        done = shoal_eval(bin_dir, *good, "--stream", *apart, status=2)
        assert "excludes" in done.stderr and apart[0] in done.stderr, done
    for alone in (("--refine-every", "9"), ("--order", "both"),
                  ("--refine-method", "km"), ("--confirm-share", "0"),
                  ("--transfer-rounds", "2"), ("--max-churn", "1")):
        done = shoal_eval(bin_dir, *good, "--methods", "km", *alone, status=2)
        assert alone[0] + " requires --stream" in done.stderr, done
    for wrong in (("--order", "sorted"), ("--refine-every", "0"),
                  ("--confirm-share", "2"), ("--confirm-agreement", "x")):
        shoal_eval(bin_dir, *good, "--stream", *wrong, status=2)
    for wrong in (("--clusters", "none"), ("--clusters", "0"),
                  ("--seeds", "0"), ("--distance", "far"),
                  ("--max-updates", "0"), ("--max-updates", "many")):
        shoal_eval(bin_dir, *good, "--methods", "km", *wrong, status=2)
    clustering = ("--data", data / "caltech101-20", "--out", folder,
                  "--limit", "60", "--views", "color")
    for options, complaint in (
            (("--methods", "kmeans"), "no method kmeans"),
            (("--methods", "km,km"), "asked for twice"),
            (("--methods", "km,tl-km"), "--transfer-net"),
            (("--methods", "km", "--clusters", "61"), "61 clusters of 60")):
        done = shoal_eval(bin_dir, *clustering, *options, status=1)
        assert complaint in done.stderr, (options, done.stderr)
        assert not (folder / "results.json").exists()
    for options, complaint in (
            (("--refine-method", "kmeans"), "is called 'kmeans'"),
            (("--clusters", "61"), "61 clusters of 60"),
            (("--transfer-net", "no_net"), "no_net")):
        done = shoal_eval(bin_dir, *clustering, "--stream", *options, status=1)
        assert complaint in done.stderr, (options, done.stderr)
        assert not (folder / "stream.json").exists()
    shoal_eval(bin_dir, "--data", data / "photos", "--features-only", status=2)
    done = shoal_eval(bin_dir, *good, "--features-only", status=1)
    assert "one folder per class" in done.stderr, done.stderr
    done = shoal_eval(bin_dir, "--data", data / "caltech101-20", "--out",
                      folder, "--features-only", "--views", "nonet", status=1)
    assert "no view nonet" in done.stderr, done.stderr


def check_interrupt(bin_dir, data, folder):
    """Interrupted in the net's pass, after that of the light views."""
    arguments = [bin_dir / "shoal-eval", "--data", data / "caltech101-20",
                 "--models", data / "models", "--views", "color,resnet50",
                 "--limit", "400", "--cache", folder / "cache2",
                 "--features-only", "--out", folder / "interrupted"]
    process = subprocess.Popen(list(map(str, arguments)),
                               stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not list((folder / "cache2").rglob("color-*.npy")):
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, (process.returncode, messages)
    assert "finished views are in the cache" in messages, messages
    assert not (folder / "interrupted").exists()
    assert not list((folder / "cache2").rglob("resnet50-*"))


def check_scores(out, row, number):
    """A row of results.json against scikit-learn's scores of its labels."""
    with open(out / "index.csv", newline="") as file:
        truth = [int(line["label"]) for line in csv.DictReader(file)]
    run = json.loads((out / "runs" / ("%d.json" % number)).read_text())
    labels = run["labels"]
    assert len(labels) == len(truth) == row["n"]
    table = metrics.cluster.contingency_matrix(truth, labels)
    together = (table.astype(float) ** 2).sum() - len(truth)
    pairs = [(sums.astype(float) ** 2).sum() - len(truth)
             for sums in (table.sum(0), table.sum(1))]
    for name, expected in (
            ("nmi", metrics.normalized_mutual_info_score(
                truth, labels, average_method="geometric")),
            ("nmi_arithmetic",
             metrics.normalized_mutual_info_score(truth, labels)),
            ("ari", metrics.adjusted_rand_score(truth, labels)),
            ("fmi", metrics.fowlkes_mallows_score(truth, labels)),
            ("jc", together / (sum(pairs) - together))):
        assert abs(row[name] - expected) < 1e-6, (row, name, expected)


def check_methods(bin_dir, data, folder):
    """km and jule on a part of COIL-20, stopped in between."""
    out = folder / "methods"
    arguments = [bin_dir / "shoal-eval", "--data", data / "coil100-20",
                 "--models", data / "models", "--views", "hog,mobilenet_v2",
                 "--cache", folder / "cache3", "--limit", "480", "--methods",
                 "km,jule", "--seeds", "2", "--out", out]
    process = subprocess.Popen(list(map(str, arguments)),
                               stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not (out / "results.json").exists():
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, (process.returncode, messages)
    kept = json.loads((out / "results.json").read_text())
    assert 0 < len(kept) < 8, kept

    done = shoal_eval(bin_dir, *arguments[1:])
    assert "%d of 8 runs are there already" % len(kept) in done.stderr
    rows = json.loads((out / "results.json").read_text())
    assert rows[:len(kept)] == kept
    assert sorted((r["method"], r["view"], r["seed"]) for r in rows) == sorted(
        (method, view, seed) for method in ("km", "jule")
        for view in ("hog", "mobilenet_v2") for seed in (0, 1))
    for number, row in enumerate(rows):
        assert row["k"] == 20 and row["n"] == 480, row
        check_scores(out, row, number)
        print("%(method)s on %(view)s, seed %(seed)d: NMI %(nmi).3f in "
              "%(seconds).1f s" % row)
        if (row["method"], row["view"]) == ("jule", "mobilenet_v2"):
            assert row["nmi"] > 0.9, row
    assert "jule" in done.stdout and "+-" in done.stdout, done.stdout
    report = (out / "report.html").read_text()
    assert "Contact sheets" in report and "data:image/jpeg" in report


def check_cluster_count(bin_dir, data, folder):
    out = folder / "count"
    done = shoal_eval(bin_dir, "--data", data / "coil100-20", "--models",
                      data / "models", "--views", "mobilenet_v2", "--cache",
                      folder / "cache3", "--limit", "480", "--methods", "km",
                      "--clusters", "auto", "--map-images", "0", "--out", out)
    assert "is estimated" in done.stdout, done.stdout
    assert "silhouette" in done.stdout and "eigengap" in done.stdout
    row, = json.loads((out / "results.json").read_text())
    assert "K = %d is estimated" % row["k"] in done.stdout, (row, done.stdout)
    assert 10 <= row["k"] <= 40, row


def check_transfer(bin_dir, data, folder):
    """HOG alone is clustered; a net learns what is confirmed."""
    out = folder / "transfer"
    shoal_eval(bin_dir, "--data", data / "caltech101-20", "--models",
               data / "models", "--views", "hog", "--transfer-net",
               "mobilenet_v2", "--transfer-rounds", "3", "--cache",
               folder / "cache4", "--limit", "500", "--stream", "--order",
               "random", "--refine-every", "1000", "--refine-method", "km",
               "--confirm-agreement", "0", "--out", out)
    run, = [row for row in json.loads((out / "stream.json").read_text())
            if row["row"] == "run"]
    rounds = [entry["nmi"] for entry in run["rounds"]]
    print("HOG, then with what the net learned: NMI %s"
          % ", ".join("%.3f" % nmi for nmi in rounds))
    assert len(rounds) == 4, run
    assert rounds[-1] > rounds[0] + 0.1, rounds
    assert "3 transfer rounds with mobilenet_v2" in run["note"], run["note"]
    assert 0.4 * 500 < run["confirmed"] <= 0.5 * 500, run["confirmed"]


def check_stream(bin_dir, data, folder):
    """A part of COIL-20 through the online path, in both orders."""
    out = folder / "stream"
    arguments = [bin_dir / "shoal-eval", "--data", data / "coil100-20",
                 "--models", data / "models", "--views", "hog,mobilenet_v2",
                 "--cache", folder / "cache3", "--limit", "480", "--stream",
                 "--refine-every", "160", "--confirm-agreement", "0",
                 "--out", out]
    done = shoal_eval(bin_dir, *arguments[1:])
    rows = json.loads((out / "stream.json").read_text())
    runs = [row for row in rows if row["row"] == "run"]
    assert [(row["order"], row["images"]) for row in runs] == [
        (order, images) for order in ("random", "classes")
        for images in (160, 320, 480)], runs
    for row in runs:
        assert row["status"] == "published" and row["k"] == 20, row
        assert row["confirmed_changed"] == 0, row
    for order in ("random", "classes"):
        first, *others = [row for row in runs if row["order"] == order]
        assert first["online_nmi"] is None and first["kept"] is None, first
        confirmed = first["confirmed"]
        assert confirmed > 0, first
        for row in others:
            assert row["confirmed"] >= confirmed, row
            confirmed = row["confirmed"]
            assert row["seen_images"] + row["unseen_images"] == 160, row
    random_runs = runs[:3]
    assert all(row["unseen_images"] == 0 for row in random_runs[1:])
    assert all(row["online_nmi"] > 0.85 for row in random_runs[1:])
    # Of the images that come class by class, most are of new classes.
    assert all(row["unseen_images"] >= 120 for row in runs[4:]), runs[4:]
    ends = [row for row in rows if row["row"] == "end"]
    for row in ends:
        print("%(order)s: NMI %(nmi).3f, at once %(batch_nmi).3f" % row)
        assert abs(row["gap_nmi"] - row["batch_nmi"] + row["nmi"]) < 1e-9, row
        assert row["nmi"] > 0.85 and row["batch_nmi"] > 0.85, row
    both, = [row for row in rows if row["row"] == "orders"]
    assert 0.6 < both["ari"] <= 1, both
    assert "In the end:" in done.stdout, done.stdout

    (out / "stream.json").unlink()
    process = subprocess.Popen(list(map(str, arguments)),
                               stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not (out / "stream.json").exists() or not json.loads(
            (out / "stream.json").read_text()):
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, (process.returncode, messages)
    assert "finished runs are in" in messages, messages
    kept = json.loads((out / "stream.json").read_text())
    assert 0 < len(kept) < len(rows), kept
    for row, whole in zip(kept, rows):
        assert {**row, "seconds": 0} == {**whole, "seconds": 0}, (row, whole)


def main():
    bin_dir, data = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    require(data / "caltech101-20", "the Caltech photographs")
    require(data / "coil100-20", "the COIL photographs")
    require(data / "models" / "mobilenet_v2", "the pretrained models")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="shoal-eval-"))
    try:
        rows, features = check_features(bin_dir, data, folder)
        check_against_daemon(bin_dir, data, rows, features)
        check_mnist(bin_dir, data, folder)
        check_bad_files(bin_dir, data, folder)
        check_usage(bin_dir, data, folder)
        check_interrupt(bin_dir, data, folder)
        check_methods(bin_dir, data, folder)
        check_cluster_count(bin_dir, data, folder)
        check_stream(bin_dir, data, folder)
        check_transfer(bin_dir, data, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
