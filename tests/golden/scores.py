"""Golden scores from scikit-learn and scipy: python3 tests/golden/scores.py"""

import numpy
from scipy.optimize import linear_sum_assignment
from sklearn import metrics

import golden_header

SEED = 3
N = 120


def accuracy(truth, labels):
    table = metrics.cluster.contingency_matrix(truth, labels)
    rows, columns = linear_sum_assignment(-table)
    return table[rows, columns].sum() / len(truth)


def jaccard(truth, labels):
    pairs = metrics.cluster.pair_confusion_matrix(truth, labels)
    return pairs[1, 1] / (pairs[1, 1] + pairs[0, 1] + pairs[1, 0])


random = numpy.random.RandomState(SEED)
truth = random.randint(0, 6, N)
noisy = numpy.where(random.uniform(size=N) < 0.3, random.randint(0, 6, N), truth)
cases = {
    # Some labels negative or far apart: any integers are labels.
    "kNoisy": (noisy * 7 - 3) % 11,
    "kRandom": random.randint(0, 9, N),
    "kCoarse": truth // 2,
    "kFine": truth * 3 + random.randint(0, 3, N),
    "kOne": numpy.zeros(N, int),
}
data = (random.normal(size=(N, 4)) + truth[:, None] * [1, 2, 0, 0.5]).round(3)
data = data.astype(numpy.float32)
entries = [("kTruth", truth), ("kData", data), ("kColumns", data.shape[1])]
for name, labels in cases.items():
    nmi = metrics.normalized_mutual_info_score
    entries += [
        (name, labels),
        (name + "NmiGeometric", nmi(truth, labels, average_method="geometric")),
        (name + "NmiArithmetic", nmi(truth, labels, average_method="arithmetic")),
        (name + "Ari", float(metrics.adjusted_rand_score(truth, labels))),
        (name + "Accuracy", accuracy(truth, labels)),
        (name + "Jaccard", jaccard(truth, labels)),
        (name + "FowlkesMallows", float(metrics.fowlkes_mallows_score(truth, labels))),
    ]
    if len(set(labels)) > 1:
        score = metrics.silhouette_score(data.astype(float), labels)
        entries.append((name + "Silhouette", float(score)))
        score = metrics.davies_bouldin_score(data.astype(float), labels)
        entries.append((name + "DaviesBouldin", float(score)))
weight = random.randint(0, 50, (5, 8)).astype(float)
rows, columns = linear_sum_assignment(-weight)
entries += [
    ("kWeight", weight),
    ("kWeightRows", 5),
    ("kWeightColumns", 8),
    ("kBestWeight", float(weight[rows, columns].sum())),
]
golden_header.write(__file__, SEED, "scores", entries)
