"""Debiasing as an option of any miner."""

import inspect
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_ids, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.mining.debiasing import debiased_weights
from ruvector.mining.protocol import cosines, pair_cosines

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
        similarities are cosines. One's own returns a named tuple like :class:`MinedNegatives` or
        :class:`MinedTriplets`; a function that returns arrays becomes a miner by
        :class:`FunctionMiner`.
    prior, temperature, concentration : float
        As for :func:`debiased_weights`.

    Raises
    ------
    InvalidTypeError
        `miner` has no ``mine``, or is a :class:`Debiased` itself.
    InvalidArgumentError
        A setting out of range; a miner whose metric is the inner product.

    Notes
    -----
    What is chosen does not change: a band (``skip``) or a distance in the graph (``exclude``,
    ``apart``, ``least``) of the miner does that. Beside the miner's own cost, ``2·d`` operations
    for the cosine of each anchor and its positive or, with triplets, twice as many a triplet; each
    row is normalised once. Beside the miner's own memory, with triplets a copy of the rows in
    float64 and some 130 bytes a triplet, otherwise a copy of the positives and some 40 bytes a
    negative.

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
        if isinstance(miner, Debiased):
            raise InvalidTypeError(
                "miner is a Debiased, which weighs what it finds already; give the miner within "
                "it, its attribute `miner`"
            )
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
        self, *given: Any, positives: npt.ArrayLike | None = None, **options: Any
    ) -> DebiasedMined:
        """Let the miner choose, and weigh what it chose.

        Parameters
        ----------
        *given, **options
            For the miner's `mine`, in its order or by its names: first (A, d) anchors or
            embeddings, then a pool, a graph, labels, `exclude`.
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
            No anchors; a miner that returns neither triplets nor negatives with similarities; and
            as the miner.
        """
        names = list(inspect.signature(self.miner.mine).parameters)
        called = {**dict(zip(names, given, strict=False)), **options}
        first = names[0] if names else "anchors"
        if first not in called:
            raise InvalidTypeError(f"{first} is missing; give it first or by name")
        if hasattr(called.get("pool"), "search"):
            raise InvalidArgumentError(
                "pool is an index, whose vectors are not known; mine without debiasing and give "
                "the cosines of positives to debiased_weights"
            )
        if positives is not None and "positives" in names:
            options["positives"] = positives
        found = self.miner.mine(*given, **options)
        rows = as_floats(called[first], first)
        if all(hasattr(found, name) for name in ("anchors", "positives", "negatives")):
            own = pair_cosines(rows, found.anchors, found.positives)
            others = pair_cosines(rows, found.anchors, found.negatives)[:, None]
            return DebiasedMined(found, self._weights(others, own)[:, 0])
        if not hasattr(found, "similarities"):
            raise InvalidTypeError(
                f"the miner returned a {type(found).__name__} but debiasing needs negatives with "
                "`similarities`, or triplets as `anchors`, `positives` and `negatives`; return "
                "MinedNegatives or MinedTriplets, or give a function that returns arrays to "
                "as_miner or FunctionMiner"
            )
        if positives is None:
            raise InvalidArgumentError(
                "positives is missing but debiasing takes off what they contribute; give a row or "
                "a vector for each anchor"
            )
        nodes, pool = called.get("nodes"), called.get("pool")
        chosen = rows if nodes is None else rows[as_ids(nodes, "nodes")]
        among = rows if pool is None else as_floats(pool, "pool", columns=rows.shape[1])
        own = _to_positives(chosen, among, positives)
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
