"""Packages beyond scikit-learn take the transformer; each test skips without its package."""

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")
from ruvector.interop.sklearn import NeighborsTransformer
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsTransformer

# What these packages warn about on import is not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def groups():
    """Three groups of 60 points in ten dimensions."""
    random = np.random.default_rng(0)
    labels = np.arange(180) % 3
    centres = 3 * random.standard_normal((3, 10))
    return (centres[labels] + random.standard_normal((180, 10))).astype(np.float32), labels


def test_umap_takes_the_graph(groups):
    umap = pytest.importorskip("umap", reason="no umap: make test-frameworks", exc_type=ImportError)
    samples, labels = groups
    graph = NeighborsTransformer(n_neighbors=14).fit_transform(samples)
    ids, distances = (part.reshape(180, 15) for part in (graph.indices, graph.data))
    reducer = umap.UMAP(
        n_neighbors=15, precomputed_knn=(ids, distances), random_state=0, n_epochs=50
    )
    points = reducer.fit_transform(samples)
    assert points.shape == (180, 2)
    nearest = NeighborsTransformer(n_neighbors=5).fit(points).kneighbors(return_distance=False)
    assert (labels[nearest] == labels[:, None]).mean() > 0.95
    np.testing.assert_array_equal(reducer._knn_indices, ids)


def test_hdbscan_takes_the_graph(groups):
    hdbscan = pytest.importorskip(
        "hdbscan", reason="no hdbscan: make test-frameworks", exc_type=ImportError
    )
    samples, labels = groups
    graph = NeighborsTransformer(n_neighbors=100).fit_transform(samples)
    clusterer = hdbscan.HDBSCAN(min_cluster_size=15, metric="precomputed")
    found = clusterer.fit_predict(graph.maximum(graph.T))
    assert adjusted_rand_score(labels, found) > 0.8


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_scanpy_takes_the_transformer(groups, metric):
    scanpy = pytest.importorskip(
        "scanpy", reason="no scanpy: make test-frameworks", exc_type=ImportError
    )
    anndata = pytest.importorskip(
        "anndata", reason="no anndata: make test-frameworks", exc_type=ImportError
    )
    graphs = []
    for cls in (NeighborsTransformer, KNeighborsTransformer):
        data = anndata.AnnData(groups[0])
        transformer = cls(n_neighbors=14, metric=metric)
        scanpy.pp.neighbors(data, n_neighbors=15, transformer=transformer, use_rep="X")
        graphs.append((data.obsp["distances"], data.obsp["connectivities"]))
    for found, expected in zip(*graphs, strict=True):
        np.testing.assert_array_equal(found.indptr, expected.indptr)
        np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-3, atol=1e-5)
