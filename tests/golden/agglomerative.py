"""Golden trees of scikit-learn's AgglomerativeClustering and scipy's linkage:
python3 tests/golden/agglomerative.py"""

import numpy
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import AgglomerativeClustering
from sklearn.datasets import make_blobs, make_moons

import golden_header

SEED = 11
LINKAGES = ["ward", "average", "complete", "single"]


def data_sets():
    random = numpy.random.RandomState(SEED)
    blobs, _ = make_blobs(140, 5, centers=8, random_state=SEED)
    yield "kBlobs", blobs, 8
    yield "kUniform", random.uniform(size=(120, 3)), 12
    stretched = random.normal(size=(110, 6)) * [20, 5, 2, 1, 0.5, 0.1] + 100
    yield "kStretched", stretched, 9
    moons, _ = make_moons(100, noise=0.05, random_state=SEED)
    yield "kMoons", moons, 2


def fit(k, kind, metric, data):
    model = AgglomerativeClustering(k, linkage=kind, metric=metric)
    return model.fit(data).labels_


entries = []
for name, data, k in data_sets():
    data = data.astype(numpy.float32).round(4)
    exact = data.astype(float)
    entries += [
        (name, data),
        (name + "Rows", len(data)),
        (name + "Columns", data.shape[1]),
        (name + "Clusters", k),
    ]
    for kind in LINKAGES:
        labels = fit(k, kind, "euclidean", exact)
        heights = linkage(exact, kind)[:, 2]
        assert len(set(heights)) == len(heights), "a tie"
        entries += [
            (name + kind.title(), labels),
            (name + kind.title() + "Heights", heights),
        ]
    # City-block distances, so that they are not the rows' own.
    distances = pdist(exact, "cityblock")
    for kind in LINKAGES[1:]:
        labels = fit(k, kind, "precomputed", squareform(distances))
        entries += [
            (name + "Given" + kind.title(), labels),
            (name + "Given" + kind.title() + "Heights", linkage(distances, kind)[:, 2]),
        ]
golden_header.write(__file__, SEED, "agglomerative", entries)
