"""The scikit-learn transformers keep scikit-learn's own contracts."""

import json
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.index import HNSW
from ruvector.runtime import get_num_threads

pytest.importorskip("sklearn", minversion="1.6")
import joblib
from ruvector.interop.sklearn import ContrastiveEmbedding, NeighborsTransformer
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import HDBSCAN, SpectralClustering
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE, Isomap
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer
from sklearn.pipeline import make_pipeline

CHECKS = """
import json, sys
from sklearn.utils.estimator_checks import check_estimator
import ruvector.interop.sklearn as ours
transformer = getattr(ours, sys.argv[1])(**json.loads(sys.argv[2]))
results = check_estimator(transformer, on_fail=None, on_skip=None)
print(json.dumps([(r["check_name"], r["status"], str(r["exception"])) for r in results]))
"""


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


def rows_of(graph):
    """Indices and values of a graph with equally many entries in each row."""
    counts = np.diff(graph.indptr)
    assert (counts == counts[0]).all()
    return graph.indices.reshape(graph.shape[0], -1), graph.data.reshape(graph.shape[0], -1)


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        ("ContrastiveEmbedding", {}),
        ("NeighborsTransformer", {}),
        ("NeighborsTransformer", {"mode": "connectivity"}),
        ("NeighborsTransformer", {"metric": "cosine"}),
        ("NeighborsTransformer", {"metric": "sqeuclidean", "n_jobs": 2}),
    ],
    ids=str,
)
def test_every_check_of_scikit_learn_passes(cls, parameters):
    """In a process of its own: without the variable scikit-learn leaves out one check."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHECKS, cls, json.dumps(parameters)],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert len(results) > 40
    assert [entry for entry in results if entry[1] not in ("passed", "skipped")] == []
    # scikit-learn before 1.7 wants a further package for it.
    assert {name for name, status, _ in results if status == "skipped"} <= {"check_array_api_input"}


@pytest.mark.parametrize("metric", ["euclidean", "l2", "sqeuclidean", "cosine"])
@pytest.mark.parametrize("mode", ["distance", "connectivity"])
def test_with_an_ef_of_all_samples_it_equals_scikit_learns(digits, mode, metric):
    samples = digits[0][:700]
    expected = KNeighborsTransformer(n_neighbors=9, mode=mode, metric=metric).fit_transform(samples)
    found = NeighborsTransformer(n_neighbors=9, mode=mode, metric=metric, ef=700).fit_transform(
        samples
    )
    assert isinstance(found, type(expected))
    assert (found.format, found.dtype, found.shape, found.nnz) == (
        "csr", np.float64, (700, 700), expected.nnz,
    )  # fmt: skip
    ids, values = rows_of(found)
    other_ids, other_values = rows_of(expected)
    np.testing.assert_allclose(values, other_values, rtol=1e-5, atol=1e-6)
    same = ids == other_ids
    # Pixels are small integers, so some distances tie, and the order of those is anybody's.
    if mode == "distance":
        tied = np.zeros_like(same)
        close = np.isclose(np.diff(values, axis=1), 0, atol=1e-6)
        tied[:, 1:] |= close
        tied[:, :-1] |= close
        tied[:, -1] = True
        assert same[~tied].all()
    assert same.mean() > 0.98


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_default_search_finds_nearly_all(digits, metric):
    """Digits, 15 neighbours, defaults: recall was 0.9994 and 1.0000 for each of seeds 0 to 9."""
    samples = digits[0]
    exact, _ = rows_of(KNeighborsTransformer(n_neighbors=15, metric=metric).fit_transform(samples))
    found, _ = rows_of(NeighborsTransformer(n_neighbors=15, metric=metric).fit_transform(samples))
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(exact, found, strict=True))
    assert hits / exact.size > 0.995


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_every_row_begins_with_its_own_sample(digits, metric):
    samples = digits[0][:300]
    ids, values = rows_of(NeighborsTransformer(metric=metric).fit_transform(samples))
    np.testing.assert_array_equal(ids[:, 0], np.arange(300))
    assert ids.shape == (300, 6)
    assert (values[:, 0] == 0).all()
    assert (np.diff(values, axis=1) >= 0).all()
    assert (np.sort(ids, axis=1)[:, 1:] != np.sort(ids, axis=1)[:, :-1]).all()


def awkward():
    random = np.random.default_rng(0)
    few = random.standard_normal((5, 4))
    far = random.standard_normal((60, 4)) + np.repeat([[0], [1e6], [-1e6]], 20, axis=0)
    return {
        "all equal": np.ones((60, 4)),
        "all zero": np.zeros((60, 4)),
        "duplicates": few[np.arange(60) % 5],
        "some zero": np.where(np.arange(60)[:, None] % 3 == 0, 0, random.random((60, 4))),
        "far clusters": far,
        "one column": random.standard_normal((60, 1)),
    }


@pytest.mark.parametrize("kind", awkward())
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("mode", ["distance", "connectivity"])
def test_every_row_has_the_same_number_of_entries(kind, metric, mode):
    samples = awkward()[kind]
    transformer = NeighborsTransformer(n_neighbors=8, metric=metric, mode=mode, ef=1)
    entries = 9 if mode == "distance" else 8
    for graph in (transformer.fit_transform(samples), transformer.transform(samples + 0.25)):
        assert (np.diff(graph.indptr) == entries).all()
        ids, values = rows_of(graph)
        assert all(len(set(row)) == entries for row in ids.tolist())
        assert (values >= 0).all()
        assert (np.diff(values, axis=1) >= 0).all()
    ids, values = rows_of(transformer.fit_transform(samples))
    np.testing.assert_array_equal(ids[:, 0], np.arange(60))
    assert (values[:, 0] == (0 if mode == "distance" else 1)).all()


def test_all_fitted_samples_may_be_asked_for():
    samples = np.random.default_rng(0).standard_normal((7, 3))
    graph = NeighborsTransformer(n_neighbors=6).fit_transform(samples)
    assert graph.nnz == 49
    with pytest.raises(InvalidArgumentError, match=r"n_neighbors = 8, n_samples_fit = 7"):
        NeighborsTransformer(n_neighbors=7).fit_transform(samples)
    assert NeighborsTransformer(n_neighbors=7, mode="connectivity").fit_transform(samples).nnz == 49


def test_new_samples_get_distances_to_the_fitted_ones(digits):
    samples = digits[0]
    ours = NeighborsTransformer(n_neighbors=7, ef=1000).fit(samples[:1000])
    theirs = KNeighborsTransformer(n_neighbors=7).fit(samples[:1000])
    found, expected = ours.transform(samples[1000:]), theirs.transform(samples[1000:])
    assert found.shape == expected.shape == (797, 1000)
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-5)


def test_kneighbors_answers_as_scikit_learns(digits):
    samples = digits[0][:400]
    ours = NeighborsTransformer(n_neighbors=6, ef=400).fit(samples)
    theirs = KNeighborsTransformer(n_neighbors=6).fit(samples)
    for arguments in ({}, {"X": digits[0][400:450]}, {"n_neighbors": 3}):
        distances, ids = ours.kneighbors(**arguments)
        other_distances, other_ids = theirs.kneighbors(**arguments)
        np.testing.assert_allclose(distances, other_distances, rtol=1e-5)
        assert ids.shape == other_ids.shape
        assert (ids == other_ids).mean() > 0.97  # the rest are ties
        np.testing.assert_array_equal(ours.kneighbors(**arguments, return_distance=False), ids)
    assert (ours.kneighbors()[1] != np.arange(400)[:, None]).all()


def test_the_graph_is_the_kind_scikit_learn_is_set_to(digits):
    sklearn = pytest.importorskip("sklearn", minversion="1.9")
    samples = digits[0][:50]
    assert isinstance(NeighborsTransformer().fit_transform(samples), sparse.csr_matrix)
    with sklearn.config_context(sparse_interface="sparray"):
        assert isinstance(NeighborsTransformer().fit_transform(samples), sparse.csr_array)


def test_precomputed_consumers_take_the_graph(digits):
    """A row that is not sorted would be told by a warning, and warnings are errors here."""
    samples, labels = digits[0][:400], digits[1][:400]
    near = NeighborsTransformer(n_neighbors=45)
    isomap = make_pipeline(near, Isomap(n_neighbors=20, metric="precomputed"))
    assert isomap.fit_transform(samples).shape == (400, 2)
    tsne = TSNE(metric="precomputed", init="random", perplexity=12, max_iter=250, random_state=0)
    assert make_pipeline(near, tsne).fit_transform(samples).shape == (400, 2)
    spectral = SpectralClustering(
        10, affinity="precomputed_nearest_neighbors", n_neighbors=10, random_state=0
    )
    found = make_pipeline(near, spectral).fit_predict(samples)
    assert adjusted_rand_score(labels, found) > 0.6


def test_hdbscan_takes_the_graph():
    centres = np.array([[0, 0], [8, 0], [0, 8]])
    random = np.random.default_rng(0)
    labels = np.arange(150) % 3
    samples = centres[labels] + random.standard_normal((150, 2))
    graph = NeighborsTransformer(n_neighbors=80).fit_transform(samples)
    both = graph.maximum(graph.T)
    clusterer = HDBSCAN(min_cluster_size=20, metric="precomputed", copy=True)
    assert adjusted_rand_score(labels, clusterer.fit_predict(both)) > 0.9


def test_a_classifier_on_the_graph_predicts_as_on_the_samples(digits):
    samples, labels = digits
    pipeline = make_pipeline(
        NeighborsTransformer(n_neighbors=5, ef=1200),
        KNeighborsClassifier(n_neighbors=5, metric="precomputed"),
    )
    found = pipeline.fit(samples[:1200], labels[:1200]).predict(samples[1200:])
    direct = KNeighborsClassifier(5).fit(samples[:1200], labels[:1200])
    assert (found == direct.predict(samples[1200:])).mean() > 0.995


def test_parameters_can_be_searched_by_several_jobs(digits):
    pipeline = make_pipeline(
        NeighborsTransformer(n_neighbors=10), KNeighborsClassifier(metric="precomputed")
    )
    search = GridSearchCV(
        pipeline, {"neighborstransformer__m": [4, 16], "kneighborsclassifier__n_neighbors": [3, 9]},
        cv=2, n_jobs=2,
    )  # fmt: skip
    with joblib.parallel_config("threading"):
        search.fit(digits[0][:300], digits[1][:300])
    assert search.best_score_ > 0.8


def used_threads(monkeypatch, **parameters):
    """Threads that fitting uses, and that searching uses."""
    seen = []
    for name in ("add", "search"):
        whole = getattr(HNSW, name)

        def spy(*args, whole=whole, **kwargs):
            seen.append(get_num_threads())
            return whole(*args, **kwargs)

        monkeypatch.setattr(HNSW, name, spy)
    NeighborsTransformer(**parameters).fit_transform(np.eye(8))
    monkeypatch.undo()
    return seen


def test_jobs_are_threads_of_this_call_alone(monkeypatch, each_thread_count):
    for threads in each_thread_count():
        assert used_threads(monkeypatch) == [threads] * 2
        assert used_threads(monkeypatch, n_jobs=5) == [5, 5]
        assert used_threads(monkeypatch, n_jobs=-1) == [joblib.cpu_count()] * 2
        assert get_num_threads() == threads


def test_inside_a_worker_one_thread_is_the_default(monkeypatch, each_thread_count):
    def work():
        return used_threads(monkeypatch), threading.current_thread() is threading.main_thread()

    for _ in each_thread_count():
        # Two workers, one task: the spies must not meet.
        ((seen, main),) = joblib.Parallel(2, backend="threading")([joblib.delayed(work)()])
        assert not main
        assert seen == [1, 1]


def test_the_graph_does_not_depend_on_threads(digits):
    one = NeighborsTransformer(n_jobs=1).fit_transform(digits[0])
    two = NeighborsTransformer(n_jobs=2).fit_transform(digits[0])
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_the_random_state_is_the_seed():
    samples = np.random.default_rng(0).standard_normal((50, 4))
    assert NeighborsTransformer(random_state=2**40).fit(samples).index_.seed == 2**40
    seeds = {
        NeighborsTransformer(random_state=state).fit(samples).index_.seed
        for state in (np.random.RandomState(3), np.random.RandomState(3))
    }
    assert len(seeds) == 1
    free = [NeighborsTransformer(random_state=None).fit(samples).index_.seed for _ in range(2)]
    assert free[0] != free[1]


def test_parameters_reach_the_index():
    index = NeighborsTransformer(m=7, ef_construction=33).fit(np.eye(9)).index_
    assert (index.m, index.ef_construction, index.metric, len(index)) == (7, 33, "l2", 9)


@pytest.mark.parametrize("dump", ["pickle", "joblib"])
def test_a_fitted_transformer_survives_dumping(digits, dump, tmp_path):
    transformer = NeighborsTransformer().fit(digits[0][:300])
    if dump == "pickle":
        other = pickle.loads(pickle.dumps(transformer))
    else:
        joblib.dump(transformer, tmp_path / "transformer.joblib", compress=3)
        other = joblib.load(tmp_path / "transformer.joblib")
    ours, theirs = transformer.transform(digits[0][300:]), other.transform(digits[0][300:])
    assert (ours != theirs).nnz == 0
    assert not hasattr(clone(other), "index_")


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"metric": "manhattan"}, InvalidArgumentError, "metric is 'manhattan' but must be one of"),
        ({"metric": "ip"}, InvalidArgumentError, "metric is 'ip' but must be one of"),
        ({"mode": "edges"}, InvalidArgumentError, "mode is 'edges' but must be one of"),
        ({"n_neighbors": 0}, InvalidArgumentError, "n_neighbors is 0 but must be at least 1"),
        ({"n_neighbors": 2.5}, InvalidTypeError, "n_neighbors is 2.5 but must be an integer"),
        ({"m": 1}, InvalidArgumentError, "m is 1 but must be"),
        ({"ef": 0}, InvalidArgumentError, "ef is 0 but must be"),
        ({"ef_construction": None}, InvalidTypeError, "ef_construction is None"),
        ({"random_state": -1}, InvalidArgumentError, "seed is -1"),
        ({"random_state": "one"}, ValueError, "'one' cannot be used to seed"),
        ({"n_jobs": 0}, ValueError, "n_jobs == 0"),
    ],
)
def test_bad_parameters_are_refused_by_fit(parameters, kind, message):
    transformer = NeighborsTransformer(**parameters)
    with pytest.raises(kind, match=message):
        transformer.fit(np.eye(9))
    with pytest.raises(NotFittedError):
        transformer.transform(np.eye(9))


@pytest.mark.parametrize(
    ("samples", "kind", "message"),
    [
        (sparse.csr_matrix(np.eye(9)), TypeError, "Sparse data was passed"),
        (np.full((9, 2), np.nan), ValueError, "Input X contains NaN"),
        (np.full((9, 2), 1e300), ValueError, "infinity"),
        (np.full((9, 2), 1e19), ValueError, "1e18"),
        (np.ones(9), ValueError, "Expected 2D array"),
        (np.array([["a", "b"]] * 9), ValueError, "could not convert"),
        (np.empty((0, 3)), ValueError, "minimum of 1 is required"),
    ],
    ids=["sparse", "nan", "beyond float32", "too long", "one axis", "text", "empty"],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_bad_samples_are_refused_and_the_fit_before_stays(samples, kind, message):
    transformer = NeighborsTransformer(n_neighbors=2).fit(np.eye(9))
    before = transformer.transform(np.eye(9))
    with pytest.raises(kind, match=message):
        transformer.fit(samples)
    assert (transformer.n_samples_fit_, transformer.n_features_in_) == (9, 9)
    assert (transformer.index_.get([3]) == np.eye(9)[3]).all()
    assert (transformer.transform(np.eye(9)) != before).nnz == 0


def test_importing_ruvector_does_not_import_scikit_learn():
    code = "import sys, ruvector, ruvector.interop; sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("classifier", [KNeighborsClassifier(), LogisticRegression(max_iter=500)])
def test_contrast_gives_a_classifier_better_features_than_as_many_principal_axes(
    digits, classifier
):
    samples, labels = digits[0] / 16, digits[1]
    names = np.array([f"digit {label}" for label in range(10)])[labels]
    order, scores = np.random.default_rng(0).permutation(len(labels)), []
    train, test = order[:900], order[900:]
    for reduce in (PCA(8, random_state=0), ContrastiveEmbedding(n_components=8)):
        pipeline = make_pipeline(reduce, clone(classifier)).fit(samples[train], names[train])
        scores.append(pipeline.score(samples[test], names[test]))
    assert scores[1] > scores[0] + 0.005
    assert scores[1] > 0.95


def test_contrast_is_repeated_by_its_seed_and_has_rows_of_length_one(digits):
    samples, labels = digits[0][:300], digits[1][:300]
    first = ContrastiveEmbedding(n_components=4, random_state=3).fit(samples, labels)
    again = clone(first).fit(samples, labels)
    np.testing.assert_array_equal(first.components_, again.components_)
    other = clone(first).set_params(random_state=4).fit(samples, labels)
    assert (first.components_ != other.components_).any()
    features = first.transform(samples)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1)
    assert first.transform(first.mean_[None]).tolist() == [[0.0] * 4]
    assert list(first.get_feature_names_out()) == [f"contrastiveembedding{i}" for i in range(4)]
    np.testing.assert_array_equal(first.classes_, np.arange(10))


CONTRAST = """
import sys
import numpy as np
from ruvector.interop.sklearn import ContrastiveEmbedding
samples = np.random.default_rng(0).standard_normal((1000, 784))
model = ContrastiveEmbedding(max_iter=2).fit(samples, np.arange(1000) % 10)
sys.stdout.buffer.write(model.components_.tobytes() + model.transform(samples).tobytes())
"""


def test_contrast_has_the_same_bits_for_any_number_of_threads():
    """Closed bug: its products were NumPy's, which round by the number of OpenBLAS's threads."""
    found = []
    for threads in ("1", "2"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "RUVECTOR_NUM_THREADS")
        done = subprocess.run(
            [sys.executable, "-c", CONTRAST],
            env={**os.environ, **dict.fromkeys(names, threads)},
            capture_output=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        found.append(np.frombuffer(done.stdout))
    assert found[0].shape == (784 * 16 + 1000 * 16,)
    np.testing.assert_array_equal(found[0].view(np.int64), found[1].view(np.int64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"max_iter": 0}, "max_iter"),
        ({"batch_size": 1}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"margin": -1.0}, "margin"),
        ({}, "y has 1 class"),
    ],
)
def test_contrast_refuses(options, message):
    samples, labels = np.eye(6), np.zeros(6) if not options else np.arange(6) % 2
    model = ContrastiveEmbedding(**options)
    with pytest.raises(InvalidArgumentError, match=message):
        model.fit(samples, labels)
    with pytest.raises(NotFittedError):
        model.transform(samples)


def test_classes_of_single_rows_leave_the_first_map():
    model = ContrastiveEmbedding(n_components=2).fit(np.eye(5), np.arange(5))
    assert np.isfinite(model.transform(np.eye(5))).all()
