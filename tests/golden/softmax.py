"""Golden softmax regression of scikit-learn: python3 tests/golden/softmax.py

Rows of length 1, classes of equal weight, loss + WEIGHT_DECAY / 2 * |W|^2.
"""

import numpy
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

import golden_header

SEED = 11
WEIGHT_DECAY = 0.01

data, labels = make_blobs(
    [30, 20, 10], 6, cluster_std=4.0, random_state=SEED, shuffle=False
)
data = data.astype(numpy.float32).round(3)
unit = data / numpy.linalg.norm(data, axis=1, keepdims=True)
counts = numpy.bincount(labels)
fit = LogisticRegression(
    C=1 / WEIGHT_DECAY, multi_class="multinomial", tol=1e-10, max_iter=10000
).fit(unit, labels, sample_weight=1 / (len(counts) * counts[labels]))
golden_header.write(
    __file__,
    SEED,
    "softmax",
    [
        ("kData", data),
        ("kRows", len(data)),
        ("kDim", data.shape[1]),
        ("kLabels", labels),
        ("kClasses", len(counts)),
        ("kWeightDecay", WEIGHT_DECAY),
        ("kProbabilities", fit.predict_proba(unit)),
    ],
)
