"""Golden mixtures of scikit-learn: python3 tests/golden/mixture.py"""

import numpy
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture

import golden_header

SEED = 5


def data_sets():
    random = numpy.random.RandomState(SEED)
    blobs, _ = make_blobs(160, 4, centers=5, cluster_std=2, random_state=SEED)
    yield "kBlobs", blobs, 5
    # Stretched, turned and far from zero, of unequal sizes.
    parts = [
        random.normal(size=(n, 3)) @ random.normal(size=(3, 3)) + 1000 + place
        for n, place in [(90, [0, 0, 0]), (50, [8, 2, -3]), (30, [-4, 7, 6])]
    ]
    yield "kTurned", numpy.concatenate(parts), 3


class FromKMeans(GaussianMixture):
    """Started from the best of 50 k-means runs, which is the optimum here."""

    def _initialize_parameters(self, data, random_state):
        labels = KMeans(self.n_components, n_init=50, random_state=SEED).fit(data).labels_
        self._initialize(data, numpy.eye(self.n_components)[labels])


entries = []
for name, data, k in data_sets():
    data = data.astype(numpy.float32).round(3)
    exact = data.astype(float)
    entries += [
        (name, data),
        (name + "Rows", len(data)),
        (name + "Columns", data.shape[1]),
        (name + "Clusters", k),
    ]
    for kind, word in [("full", "Full"), ("diag", "Diagonal")]:
        fit = FromKMeans(k, covariance_type=kind, tol=1e-9, max_iter=1000).fit(exact)
        assert fit.converged_
        order = numpy.argsort(fit.means_[:, 0])
        entries += [
            (name + word + "Likelihood", float(fit.score(exact))),
            (name + word + "Weights", fit.weights_[order]),
            (name + word + "Means", fit.means_[order]),
            (name + word + "Labels", fit.predict(exact)),
        ]
golden_header.write(__file__, SEED, "mixture", entries)
