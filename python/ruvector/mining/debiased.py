"""Debiasing as an option of any miner."""

import inspect
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_ids, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.mining.debiasing import debiased_weights
from ruvector.mining.protocol import cosines

__all__ = ["Debiased", "DebiasedMined"]


class DebiasedMined(NamedTuple):
    """What a miner chose, and how much of it counts.

    Attributes
    ----------
    found : named tuple
        The miner's result, unchanged.
    weights : (A, k) or (T,) float32
        One a negative, as :func:`debiased_weights` has them: 0 where filled. One a triplet where
        triplets were mined.
    """

    found: Any
    weights: npt.NDArray[np.float32]


class Debiased:
    """Any miner, with weights for what it finds that allow for the false negatives in it.

    Parameters
    ----------
    miner : object with ``mine``
        :class:`HardNegativeMiner`, :class:`TripletMiner`, :class:`EdgeTripletMiner`,
        :class:`~ruvector.sampling.GraphMiner`, :class:`FunctionMiner` or one's own, whose
        similarities are cosines.
    prior, temperature, concentration : float
        As for :func:`debiased_weights`.

    Raises
    ------
    InvalidTypeError
        `miner` has no ``mine``.
    InvalidArgumentError
        A setting out of range; a miner whose metric is the inner product.

    Notes
    -----
    What is chosen does not change: a band (``skip``) or a distance in the graph (``exclude``,
    ``apart``, ``least``) of the miner does that. Beside the miner's own cost that of one cosine an
    anchor or, with triplets, two a triplet.

    References
    ----------
    Chuang, Robinson, Lin, Torralba and Jegelka, "Debiased Contrastive Learning", NeurIPS 2020.
    arXiv:2007.00224

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.mining import Debiased, HardNegativeMiner
    >>> rows = np.array([[1.0, 0.0], [0.9, 0.2], [0.6, 0.8], [0.0, 1.0]])
    >>> miner = Debiased(HardNegativeMiner("hardest", k=2), prior=0.1, temperature=0.5)
    >>> mined = miner.mine(rows, positives=[1, 0, 3, 2])
    >>> mined.found.indices.tolist()
    [[2, 3], [2, 3], [1, 0], [1, 0]]
    >>> mined.weights[:, 0].round(2)
    array([0.75, 0.85, 0.97, 0.68], dtype=float32)
    """

    def __init__(
        self, miner: Any, *, prior: float, temperature: float, concentration: float = 0.0
    ) -> None:
        if not callable(getattr(miner, "mine", None)):
            raise InvalidTypeError(f"miner is a {type(miner).__name__} but must have `mine`")
        self.miner = miner
        self.prior = check_real(prior, "prior", low=0.0)
        if self.prior >= 1.0:
            raise InvalidArgumentError(f"prior is {self.prior:g} but must be below 1")
        self.temperature = check_real(temperature, "temperature", low=0.0, open_low=True)
        self.concentration = check_real(concentration, "concentration", low=0.0)
        inner = getattr(miner, "nodes", miner)
        if getattr(inner, "metric", "cosine") != "cosine":
            raise InvalidArgumentError(
                f"miner has metric {inner.metric!r} but debiasing needs metric 'cosine'"
            )

    def __repr__(self) -> str:
        return (
            f"Debiased({self.miner!r}, prior={self.prior:g}, temperature={self.temperature:g}, "
            f"concentration={self.concentration:g})"
        )

    def mine(
        self,
        anchors: npt.ArrayLike,
        *given: Any,
        positives: npt.ArrayLike | None = None,
        **options: Any,
    ) -> DebiasedMined:
        """Let the miner choose, and weigh what it chose.

        Parameters
        ----------
        anchors : (A, d) array
            As the miner's `mine` takes them.
        *given, **options
            For the miner's `mine`: a pool, a graph, labels, `exclude`.
        positives : (A,) integers or (A, d) floats, optional
            The positive of each anchor, as a row of the pool (-1 for none: nothing is taken off
            then) or as a vector. Needed unless triplets are mined. Handed to miners that take it.

        Returns
        -------
        DebiasedMined
            Fresh arrays.

        Raises
        ------
        InvalidArgumentError
            No positives, or of a wrong shape, or rows outside the pool; rows of an index, whose
            vectors are not known; and what the miner raises.
        InvalidTypeError
            As the miner.
        """
        if positives is not None and "positives" in inspect.signature(self.miner.mine).parameters:
            options["positives"] = positives
        found = self.miner.mine(anchors, *given, **options)
        rows = as_floats(anchors, "anchors")
        if hasattr(found, "anchors"):
            own = cosines(rows[found.anchors], rows[found.positives])
            others = cosines(rows[found.anchors], rows[found.negatives])[:, None]
            return DebiasedMined(found, self._weights(others, own)[:, 0])
        if positives is None:
            raise InvalidArgumentError(
                "positives is missing but debiasing takes off what they contribute; give a row or "
                "a vector for each anchor"
            )
        nodes = options.get("nodes")
        chosen = rows if nodes is None else rows[as_ids(nodes, "nodes")]
        own = _to_positives(chosen, self._pool(rows, given, options), positives)
        return DebiasedMined(found, self._weights(found.similarities, own))

    def _weights(
        self, similarities: npt.NDArray[Any], own: npt.NDArray[Any]
    ) -> npt.NDArray[np.float32]:
        return debiased_weights(
            similarities,
            own,
            prior=self.prior,
            temperature=self.temperature,
            concentration=self.concentration,
        )

    def _pool(
        self, rows: npt.NDArray[Any], given: tuple[Any, ...], options: dict[str, Any]
    ) -> npt.NDArray[Any]:
        """The rows that the miner chose from."""
        names = list(inspect.signature(self.miner.mine).parameters)[1:]
        pool = {**dict(zip(names, given, strict=False)), **options}.get("pool")
        if pool is None:
            return rows
        if hasattr(pool, "search"):
            raise InvalidArgumentError(
                "pool is an index, whose vectors are not known; mine without debiasing and give "
                "the cosines of positives to debiased_weights"
            )
        return as_floats(pool, "pool", columns=rows.shape[1])


def _to_positives(
    rows: npt.NDArray[Any], pool: npt.NDArray[Any], positives: npt.ArrayLike
) -> npt.NDArray[Any]:
    """The cosine of each anchor and its positive; -inf where there is none."""
    array = np.asarray(positives)
    if array.dtype.kind == "f" and array.ndim == 2:
        vectors = as_floats(array, "positives", columns=rows.shape[1])
        there = np.ones(len(vectors), bool)
    else:
        chosen = as_ids(array, "positives")
        there = chosen >= 0
        outside = chosen[(chosen < -1) | (chosen >= len(pool))]
        if outside.size:
            raise InvalidArgumentError(
                f"positives names row {outside[0]} but the pool has {len(pool)} rows"
            )
        # Where there is none, any row will do.
        vectors = pool[chosen] if len(pool) else rows
    if len(vectors) != len(rows):
        raise InvalidArgumentError(
            f"positives has {len(vectors)} rows but there are {len(rows)} anchors"
        )
    return np.where(there, cosines(rows, vectors), -np.inf)
