"""Transformers for scikit-learn, over the index and by contrast; needs extra ``sklearn``."""

from __future__ import annotations

from typing import Any, Literal

import joblib
import numpy as np
import numpy.typing as npt
from joblib.parallel import get_active_backend
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ruvector import _core
from ruvector.arrays import check_choice, check_int, check_real
from ruvector.errors import InvalidArgumentError
from ruvector.index import HNSW
from ruvector.linalg import matmul
from ruvector.losses import TripletLoss
from ruvector.mining import TripletMiner
from ruvector.optim import Adam
from ruvector.runtime import get_num_threads, use_threads

__all__ = ["ContrastiveEmbedding", "NeighborsTransformer"]

# The names are scikit-learn's, where l2 is another word for euclidean; ours is the square.
_METRICS = {"euclidean": "l2", "l2": "l2", "sqeuclidean": "l2", "cosine": "cosine"}
_MODES = ("distance", "connectivity")
_HITS_AT_ONCE = 2**24

# It has no types, and those of its defaults are too narrow.
_validated: Any = validate_data


class ContrastiveEmbedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learns from classes a linear map to few features in which a class lies together.

    The features are rows of length one, ready for a classifier, a clustering or an index with
    ``metric="cosine"``. Rows of a class are drawn together and pushed from semi-hard negatives
    [1]_, as :class:`ruvector.mining.TripletMiner` finds them in each batch.

    Parameters
    ----------
    n_components : int, default 16
        Features that come out.
    margin : float, default 0.3
        By how much, in ``1 - cos``, a row of another class should be farther than one of its own.
    max_iter : int, default 20
        Passes over the training data.
    batch_size : int, default 256
        Rows that are compared with each other at once.
    learning_rate : float, default 0.01
        Of `Adam`.
    random_state : int, RandomState or None, default 0
        Decides the first weights and the batches; None draws from NumPy's global state.

    Attributes
    ----------
    classes_ : ndarray
        The classes of the training data.
    mean_, scale_ : ndarray of float64, shape (n_features,)
        Taken off each column before the map, and divided by.
    components_ : ndarray of float64, shape (n_features, n_components)
        The map.
    n_iter_ : int
        Passes that were made.
    n_features_in_ : int
        Values a sample.
    feature_names_in_ : ndarray of str
        Names of the features, where the training data has them.

    Notes
    -----
    A batch takes O(b² d) time for b rows of d components and no matrix of all distances. A class
    of a single row is everybody's negative. The results are the same bits for any number of
    threads, NumPy's among them.

    References
    ----------
    .. [1] Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition
       and Clustering", CVPR 2015. arXiv:1503.03832

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from ruvector.interop.sklearn import ContrastiveEmbedding
    >>> samples, labels = load_digits(return_X_y=True)
    >>> pipeline = make_pipeline(ContrastiveEmbedding(n_components=8), KNeighborsClassifier())
    >>> pipeline.fit(samples[:1000], labels[:1000]).score(samples[1000:], labels[1000:]) > 0.9
    True
    """

    def __init__(
        self,
        *,
        n_components: int = 16,
        margin: float = 0.3,
        max_iter: int = 20,
        batch_size: int = 256,
        learning_rate: float = 0.01,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_components = n_components
        self.margin = margin
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> ContrastiveEmbedding:  # noqa: N803
        """Learn the map.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Finite numbers, dense.
        y : array_like, shape (n_samples,)
            Classes, at least two.

        Returns
        -------
        ContrastiveEmbedding
            Itself.

        Raises
        ------
        ValueError, TypeError
            Anything about `X`, `y` or a parameter that cannot be used.
        """
        width = check_int(self.n_components, "n_components", low=1)
        passes = check_int(self.max_iter, "max_iter", low=1)
        batch = check_int(self.batch_size, "batch_size", low=2)
        rate = check_real(self.learning_rate, "learning_rate", low=0.0, open_low=True)
        loss = TripletLoss(margin=self.margin, distance="cosine")
        miner = TripletMiner("semi_hard", distance="cosine")
        random = check_random_state(self.random_state)
        rows, target = _validated(self, X, y, dtype=np.float64)
        check_classification_targets(target)
        classes, labels = np.unique(target, return_inverse=True)
        if len(classes) < 2:
            raise InvalidArgumentError("y has 1 class, but contrast needs at least 2")
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        # Columns that do not vary, but for roundings, tell nothing.
        scale[scale <= 1e-12 * np.abs(mean)] = 1.0
        data = ((rows - mean) / scale).astype(np.float32)
        start = random.standard_normal((rows.shape[1], width)) / np.sqrt(rows.shape[1])
        weights = {"map": start.astype(np.float32)}
        optimizer = Adam(weights, lr=rate)
        for _ in range(passes):
            order = random.permutation(len(data))
            for first in range(0, len(order), batch):
                chosen = order[first : first + batch]
                part = data[chosen]
                z = matmul(part, weights["map"])
                mined = miner.mine(z, labels[chosen])
                if not len(mined.anchors):
                    continue
                _, gradients = loss.value_and_grad_indexed(z, *mined[:3])
                optimizer.step({"map": matmul(part, gradients.embeddings, transpose_a=True)})
        self.classes_, self.mean_, self.scale_ = classes, mean, scale
        self.components_ = weights["map"].astype(np.float64)
        self.n_iter_, self._n_features_out = passes, width
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return the features of samples.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Finite numbers, dense.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_components)
            Rows of length one, or of zeros where a sample is the training data's mean.

        Raises
        ------
        ValueError
            `X` cannot be used.
        """
        check_is_fitted(self, "components_")
        rows = _validated(self, X, dtype=np.float64, reset=False)
        z: npt.NDArray[np.float64] = matmul((rows - self.mean_) / self.scale_, self.components_)
        lengths = np.linalg.norm(z, axis=1, keepdims=True)
        z /= np.where(lengths > 0, lengths, 1.0)
        return z


class NeighborsTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turns vectors into the sparse graph of their nearest neighbours, found by `HNSW`.

    It stands wherever :class:`sklearn.neighbors.KNeighborsTransformer` does: before an estimator
    with ``metric="precomputed"``, as ``transformer=`` of ``scanpy.pp.neighbors``, or to compute the
    ``precomputed_knn`` of UMAP.

    Parameters
    ----------
    n_neighbors : int, default 5
        Neighbours of each sample. As every sample of the training data is its own neighbour, mode
        ``"distance"`` stores one more.
    mode : {"distance", "connectivity"}, default "distance"
        Store distances, or ones.
    metric : {"euclidean", "l2", "sqeuclidean", "cosine"}, default "euclidean"
        Distance that is stored: Euclidean (two names, not squared), squared Euclidean, or
        ``1 - cos``. Inner products are no distances and cannot be stored in such a graph.
    m, ef_construction : int, default 16 and 200
        See `HNSW`.
    ef : int, optional
        Breadth of the search, see `HNSW.search`; by default the larger of 100 and twice the
        entries of a row. With the number of samples or more the search is exact.
    n_jobs : int, optional
        Threads, counted as joblib does: -1 for all cores. None leaves it to
        `ruvector.set_num_threads`, and means 1 inside joblib's workers.
    random_state : int, RandomState or None, default 0
        Decides the index's seed; None draws one from NumPy's global state. The result does not
        depend on `n_jobs`.

    Attributes
    ----------
    index_ : HNSW
        Holds the training data as ids 0 to ``n_samples_fit_ - 1``. It may be searched, not changed.
    n_samples_fit_ : int
        Number of samples in the training data.
    n_features_in_ : int
        Values a sample.
    feature_names_in_ : ndarray of str
        Names of the features, where the training data has them.

    Notes
    -----
    Samples are cast to float32. Most but not always all of the nearest neighbours are found. Every
    row holds the same number of entries, nearest first, and `fit_transform` puts each sample first
    in its own row, at distance 0, also among duplicates.

    References
    ----------
    Malkov and Yashunin (2018), "Efficient and robust approximate nearest neighbor search using
    Hierarchical Navigable Small World graphs", https://arxiv.org/abs/1603.09320.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from ruvector.interop.sklearn import NeighborsTransformer
    >>> samples, labels = load_digits(return_X_y=True)
    >>> NeighborsTransformer(n_neighbors=5).fit_transform(samples).shape
    (1797, 1797)
    >>> pipeline = make_pipeline(
    ...     NeighborsTransformer(n_neighbors=5),
    ...     KNeighborsClassifier(n_neighbors=5, metric="precomputed"),
    ... )
    >>> pipeline.fit(samples[:1000], labels[:1000]).score(samples[1000:], labels[1000:]) > 0.9
    True
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        mode: Literal["distance", "connectivity"] = "distance",
        metric: Literal["euclidean", "l2", "sqeuclidean", "cosine"] = "euclidean",
        m: int = 16,
        ef_construction: int = 200,
        ef: int | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.mode = mode
        self.metric = metric
        self.m = m
        self.ef_construction = ef_construction
        self.ef = ef
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: object = None) -> NeighborsTransformer:  # noqa: ARG002, N803
        """Index the training data.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Finite numbers, dense.
        y : object
            Ignored.

        Returns
        -------
        NeighborsTransformer
            Itself.

        Raises
        ------
        ValueError, TypeError
            Anything about `X` or a parameter that cannot be used.
        """
        self._fit(X)
        return self

    def transform(self, X: npt.ArrayLike) -> Any:  # noqa: N803
        """Return the graph from samples to their nearest ones in the training data.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features)
            Finite numbers, dense.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit), float64
            ``n_neighbors + 1`` distances a row, or ``n_neighbors`` ones, nearest first; a
            ``csr_array`` where scikit-learn is configured to return those.

        Raises
        ------
        ValueError
            Fewer samples were fitted than a row holds, or `X` cannot be used.
        """
        check_is_fitted(self, "index_")
        rows = _validated(self, X, dtype=np.float32, order="C", reset=False)
        return self._graph(*self._nearest(rows, self._entries()))

    def fit_transform(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        X: npt.ArrayLike,  # noqa: N803
        y: object = None,  # noqa: ARG002
    ) -> Any:
        """Index the training data and return its graph.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Finite numbers, dense.
        y : object
            Ignored.

        Returns
        -------
        csr_matrix of shape (n_samples, n_samples), float64
            As of `transform`; every row begins with the sample itself.
        """
        rows = self._fit(X)
        return self._graph(*_own_first(*self._nearest(rows, self._entries())))

    def kneighbors(
        self,
        X: npt.ArrayLike | None = None,  # noqa: N803
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> Any:
        """Return the nearest samples of the training data as dense arrays.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features), optional
            Finite numbers, dense; by default the training data, whose samples are then not their
            own neighbours.
        n_neighbors : int, optional
            How many, by default the parameter of this name.
        return_distance : bool, default True
            Whether distances are returned, too.

        Returns
        -------
        distances : ndarray of float64, shape (n_queries, n_neighbors)
            Ascending; left out unless `return_distance`.
        indices : ndarray of int64, shape (n_queries, n_neighbors)
            Numbers of samples of the training data.
        """
        check_is_fitted(self, "index_")
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        k = check_int(k, "n_neighbors", low=1)
        if X is None:
            rows = self.index_.get(np.arange(self.n_samples_fit_))
            distances, ids = _own_first(*self._nearest(rows, k + 1))
            distances, ids = distances[:, 1:].copy(), ids[:, 1:].copy()
        else:
            rows = _validated(self, X, dtype=np.float32, order="C", reset=False)
            distances, ids = self._nearest(rows, k)
        return (distances, ids) if return_distance else ids

    def _fit(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:  # noqa: N803
        check_choice(self.metric, "metric", choices=tuple(_METRICS))
        self._entries()
        if self.ef is not None:
            check_int(self.ef, "ef", low=1)
        if isinstance(self.random_state, (int, np.integer)):
            seed = int(self.random_state)
        else:
            seed = int(check_random_state(self.random_state).randint(2**31))
        before = dict(self.__dict__)
        try:
            rows: npt.NDArray[np.float32] = _validated(self, X, dtype=np.float32, order="C")
            index = HNSW(
                rows.shape[1],
                metric=_METRICS[self.metric],
                m=self.m,
                ef_construction=self.ef_construction,
                seed=seed,
            )
            with use_threads(self._threads()):
                index.add(rows)
        except BaseException:
            # validate_data has set the new data's number and names of features.
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self.index_ = index
        self.n_samples_fit_ = self._n_features_out = len(rows)
        return rows

    def _entries(self) -> int:
        """Entries of a row."""
        check_choice(self.mode, "mode", choices=_MODES)
        return check_int(self.n_neighbors, "n_neighbors", low=1) + (self.mode == "distance")

    def _threads(self) -> int:
        if self.n_jobs is None:
            backend: Any = get_active_backend()[0]
            nested = (backend.nesting_level or 0) > 0
            return 1 if nested else get_num_threads()
        return min(int(joblib.effective_n_jobs(self.n_jobs)), _core.MAX_THREADS)

    def _nearest(
        self, rows: npt.NDArray[np.float32], k: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Distances as they are stored, and ids, both of shape (len(rows), k)."""
        if k > self.n_samples_fit_:
            raise InvalidArgumentError(
                f"Expected n_neighbors <= n_samples_fit, but n_neighbors = {k}, n_samples_fit = "
                f"{self.n_samples_fit_}, n_samples = {len(rows)}; mode='distance' stores one more "
                f"than the parameter n_neighbors, for the sample itself"
            )
        ef = max(100, 2 * k) if self.ef is None else self.ef
        distances = np.empty((len(rows), k))
        ids = np.empty((len(rows), k), np.int64)
        step = max(1, _HITS_AT_ONCE // k)
        with use_threads(self._threads()):
            for start in range(0, len(rows), step):
                part = slice(start, start + step)
                ids[part], distances[part], _ = self.index_.search(rows[part], k, ef=ef)
        # 1 - cos may round to just below 0, which consumers of the graph refuse.
        np.maximum(distances, 0, out=distances)
        if self.metric in ("euclidean", "l2"):
            np.sqrt(distances, out=distances)
        return distances, ids

    def _graph(self, distances: npt.NDArray[np.float64], ids: npt.NDArray[np.int64]) -> Any:
        values = distances if self.mode == "distance" else np.ones(ids.shape)
        n, k = ids.shape
        # scikit-learn 1.9 lets its users choose; before, there was only the matrix.
        kind = get_config().get("sparse_interface", "spmatrix")
        cls = sparse.csr_array if kind == "sparray" else sparse.csr_matrix
        starts = np.arange(0, n * k + 1, k)
        return cls((values.ravel(), ids.ravel(), starts), shape=(n, self.n_samples_fit_))


def _own_first(
    distances: npt.NDArray[np.float64], ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Put row i's own id i first, at distance 0; where it is missing it takes the last's place.

    It is missing among more duplicates than a row has entries, and, under cosine, where the
    vector is zero and so at distance 1 from everything.
    """
    n, k = ids.shape
    own = np.arange(n)
    found = ids == own[:, None]
    place = np.where(found.any(axis=1), found.argmax(axis=1), k - 1)
    columns = np.arange(k)
    source = np.where(columns <= place[:, None], columns - 1, columns)
    distances = np.take_along_axis(distances, source, axis=1)
    ids = np.take_along_axis(ids, source, axis=1)
    distances[:, 0], ids[:, 0] = 0, own
    return distances, ids
