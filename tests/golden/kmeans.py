"""Golden inertias of scikit-learn's KMeans: python3 tests/golden/kmeans.py"""

import numpy
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

import golden_header

SEED = 7


def data_sets():
    random = numpy.random.RandomState(SEED)
    blobs, _ = make_blobs(240, 5, centers=8, random_state=SEED)
    yield "kBlobs", blobs, 8
    yield "kUniform", random.uniform(size=(200, 3)), 12
    stretched = random.normal(size=(180, 6)) * [20, 5, 2, 1, 0.5, 0.1] + 100
    yield "kStretched", stretched, 9


entries = []
for name, data, k in data_sets():
    data = data.astype(numpy.float32).round(3)
    fit = KMeans(k, n_init=10, random_state=SEED).fit(data)
    entries += [
        (name, data),
        (name + "Rows", len(data)),
        (name + "Columns", data.shape[1]),
        (name + "Clusters", k),
        (name + "Inertia", fit.inertia_),
    ]
golden_header.write(__file__, SEED, "kmeans", entries)
