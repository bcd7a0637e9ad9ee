"""Golden values of scikit-learn's PCA: python3 tests/golden/pca.py"""

import numpy
from sklearn.decomposition import PCA

import golden_header

SEED = 11
random = numpy.random.RandomState(SEED)
entries = []
for name, shape in (("kTall", (40, 6)), ("kWide", (8, 15))):
    mixing = random.normal(size=(shape[1], shape[1]))
    data = (random.normal(size=shape) @ mixing + 3).astype(numpy.float32)
    data = data.round(3)
    components = 4
    pca = PCA(components, svd_solver="full").fit(data)
    entries += [
        (name, data),
        (name + "Rows", shape[0]),
        (name + "Columns", shape[1]),
        (name + "Components", components),
        (name + "Variance", pca.explained_variance_),
        (name + "Projection", pca.transform(data)),
        (name + "TotalVariance", float(data.var(axis=0, ddof=1).sum())),
    ]
golden_header.write(__file__, SEED, "pca", entries)
