"""Adjacency reconstruction: over all pairs, and over listed ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy.typing as npt

from ruvector.losses._base import Array, Loss, LossResult, Reduction, Value

__all__ = [
    "AdjacencyReconstructionGradients",
    "AdjacencyReconstructionLoss",
    "EdgeReconstructionGradients",
    "EdgeReconstructionLoss",
]


class AdjacencyReconstructionGradients(NamedTuple):
    """Gradients of :class:`AdjacencyReconstructionLoss`, each of its input's shape and dtype."""

    embeddings: Array


@dataclass(frozen=True)
class AdjacencyReconstructionLoss(Loss):
    """Adjacency reconstruction: each pair's dot product is the logit of an edge [1]_.

    Over all pairs ``i < j`` with ``x = z_i·z_j``: ``pos_weight·softplus(-x)`` where there is an
    edge, ``softplus(x)`` where there is none.

    Parameters
    ----------
    pos_weight : float, default 1.0
        Weight of the edges; above 0. Non-edges over edges balances the two.
    reduction : {"mean", "sum"}, default "mean"
        The mean is over all n(n-1)/2 pairs, too many to have one value each.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is 3·n²·d, a third of that for the value alone. Pairs are handled in tiles: memory grows as
    n·d and no matrix of n × n exists. Results do not depend on the number of threads. For large
    graphs see :class:`EdgeReconstructionLoss`, which takes samples of non-edges.

    References
    ----------
    .. [1] Kipf and Welling, "Variational Graph Auto-Encoders", 2016. arXiv:1611.07308 (whose
       pairs are ordered and include loops)

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import AdjacencyReconstructionLoss
    >>> z = np.array([[2.0, 0.0], [2.0, 0.0], [-2.0, 0.0]])
    >>> round(AdjacencyReconstructionLoss()(z, [0], [1]), 4)
    0.0181
    """

    name: ClassVar[str] = "adjacency_reconstruction"

    pos_weight: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
        src, dst : array_like of int, shape (E,)
            Ends of the edges. Direction and repeats do not matter; loops are no pairs and are left
            out.

        Returns
        -------
        float

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, values out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(embeddings, src, dst)

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[AdjacencyReconstructionGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        embeddings, src, dst
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the input's shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of pairs as ``active``.
        """
        return self._value_and_grad(AdjacencyReconstructionGradients, out, embeddings, src, dst)


class EdgeReconstructionGradients(NamedTuple):
    """Gradients of :class:`EdgeReconstructionLoss`, each of its input's shape and dtype."""

    embeddings: Array


@dataclass(frozen=True)
class EdgeReconstructionLoss(Loss):
    """Adjacency reconstruction over listed edges and non-edges.

    With ``x = z_i·z_j``: ``pos_weight·softplus(-x)`` for a pair of ``src`` and ``dst`` and
    ``softplus(x)`` for one of ``negative_src`` and ``negative_dst``. Over all edges and all
    non-edges this is :class:`AdjacencyReconstructionLoss`; with a sample of non-edges it is the
    usual training loss of a graph autoencoder [1]_.

    Parameters
    ----------
    pos_weight : float, default 1.0
        Weight of the edges; above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all pairs, edges and non-edges. With ``"none"`` the value is an array, the
        edges first, and the gradient is that of its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is O((E + M)·d) and memory O(E + M): pairs' gradients are added up row by row and never
    stored. Results do not depend on the number of threads.

    References
    ----------
    .. [1] Kipf and Welling, "Variational Graph Auto-Encoders", 2016. arXiv:1611.07308

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import EdgeReconstructionLoss
    >>> z = np.array([[2.0, 0.0], [2.0, 0.0], [-2.0, 0.0]])
    >>> round(EdgeReconstructionLoss()(z, [0], [1], [0, 1], [2, 2]), 4)
    0.0181
    """

    name: ClassVar[str] = "edge_reconstruction"

    pos_weight: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        negative_src: npt.ArrayLike,
        negative_dst: npt.ArrayLike,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
        src, dst : array_like of int, shape (E,)
            Ends of the edges.
        negative_src, negative_dst : array_like of int, shape (M,)
            Ends of pairs that are no edges.

        Returns
        -------
        float, or ndarray of float64 with shape (E + M,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, values out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(embeddings, src, dst, negative_src, negative_dst)

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        negative_src: npt.ArrayLike,
        negative_dst: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[EdgeReconstructionGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        embeddings, src, dst, negative_src, negative_dst
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the input's shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of pairs as ``active``.
        """
        return self._value_and_grad(
            EdgeReconstructionGradients, out, embeddings, src, dst, negative_src, negative_dst
        )
