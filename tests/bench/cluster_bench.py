"""Clusterers against scikit-learn's, on the same rows, in turn, in one run.

usage: cluster_bench.py CLUSTER_BENCH [--rows N] [--rounds N] [--methods A,B]

Prints a Markdown table: seconds (the median of the rounds) and score of both.
The score is the inertia for k-means (lower is better), the mean log-likelihood
for mixtures (higher is better), and for agglomeration the adjusted Rand index
between the two partitions."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy
import scipy
import sklearn
from sklearn.cluster import AgglomerativeClustering, KMeans, MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

CLUSTERS = 100
ITERATIONS = 300
EM_ITERATIONS = 100


def rows_of(count, columns, seed=0):
    """100 overlapping clouds of unequal size around the positive part of
    random centres, L2-normalised: the shape of features of a net."""
    random = numpy.random.RandomState(seed)
    centers = numpy.maximum(random.normal(size=(CLUSTERS, columns)), 0)
    share = random.dirichlet(numpy.full(CLUSTERS, 5.0))
    labels = random.choice(CLUSTERS, count, p=share)
    rows = centers[labels] + random.normal(size=(count, columns))
    rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(numpy.float32)


# method: (times the rows, columns, clusters, restarts, iterations,
# scikit-learn's fit)
METHODS = {
    "kmeans": (1, 2048, CLUSTERS, 10, ITERATIONS, lambda rows: KMeans(
        CLUSTERS, n_init=10, max_iter=ITERATIONS, random_state=0).fit(rows)),
    "mini_batch": (14, 128, CLUSTERS, 1, 0, lambda rows: MiniBatchKMeans(
        CLUSTERS, n_init=3, batch_size=4096, random_state=0).fit(rows)),
    "gmm_full": (1, 64, 20, 1, EM_ITERATIONS, lambda rows: GaussianMixture(
        20, max_iter=EM_ITERATIONS, random_state=0).fit(rows.astype(float))),
    "gmm_diagonal": (1, 64, 20, 1, EM_ITERATIONS, lambda rows: GaussianMixture(
        20, covariance_type="diag", max_iter=EM_ITERATIONS,
        random_state=0).fit(rows.astype(float))),
}
for name in ("ward", "average", "complete", "single"):
    METHODS[name] = (1, 128, CLUSTERS, 1, 0, lambda rows, kind=name:
                     AgglomerativeClustering(CLUSTERS, linkage=kind).fit(rows))


def score_of(method, fit, rows):
    if method.startswith("gmm"):
        return fit.score(rows.astype(float))
    if hasattr(fit, "inertia_"):
        return fit.inertia_
    return None


def compare(program, method, count, rounds, folder):
    times, columns, clusters, restarts, iterations, theirs = METHODS[method]
    count *= times
    rows = rows_of(count, columns)
    data, labels = folder / "rows.f32", folder / "labels"
    data.write_bytes(rows.tobytes())
    command = [program, method, "--data", data, "--columns", str(columns),
               "--clusters", str(clusters), "--restarts", str(restarts),
               "--max-iterations", str(max(1, iterations)), "--labels", labels]
    ours, seconds = [], []
    for _ in range(rounds):
        ours.append(json.loads(subprocess.run(
            command, check=True, capture_output=True).stdout))
        begin = time.perf_counter()
        fit = theirs(rows)
        seconds.append(time.perf_counter() - begin)
    our_seconds = statistics.median(o["seconds"] for o in ours)
    their_seconds = statistics.median(seconds)
    score = score_of(method, fit, rows)
    if score is None:
        ari = adjusted_rand_score(fit.labels_, numpy.loadtxt(labels, int))
        scores = "ARI %.4f | " % ari
    else:
        scores = "%.6g | %.6g" % (ours[-1]["score"], score)
    print("| %s, %d x %d, K = %d | %.2f | %.2f | %.2f | %s |" % (
        method, count, columns, clusters, our_seconds, their_seconds,
        their_seconds / our_seconds, scores), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=7200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", default=",".join(METHODS))
    options = parser.parse_args()
    print("numpy %s, scipy %s, scikit-learn %s" % (
        numpy.__version__, scipy.__version__, sklearn.__version__))
    print("| | ours, s | scikit-learn, s | times as fast | our score | "
          "scikit-learn's |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for method in options.methods.split(","):
            compare(options.program, method, options.rows, options.rounds,
                    pathlib.Path(folder))


if __name__ == "__main__":
    main()
