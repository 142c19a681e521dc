"""InfoNCE with positives from a graph: a node's neighbours, or its nodes hop by hop."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import MaybeNone, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.losses._base import Array, IndexedGradients, Loss, LossResult, Reduction, Value
from ruvector.sparse import CSR

__all__ = ["MultiHopContrastiveLoss", "MultiHopGradients", "NeighborContrastiveLoss"]


@dataclass(frozen=True)
class NeighborContrastiveLoss(Loss):
    """Neighbour contrast: InfoNCE between a node, its neighbours and drawn other nodes.

    For each node :class:`InfoNCELoss` [1]_ with the node as anchor, all its neighbours as
    positives and, as negatives, `num_negatives` nodes that are neither neighbours nor the node
    itself, drawn without replacement.

    Parameters
    ----------
    temperature : float, default 0.07
        Divides the cosines; above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the nodes' values become the result. The mean is over nodes with at least one
        neighbour; a node without any contributes 0. With ``"none"`` the value is an array and the
        gradients are those of its sum.
    num_negatives : int, default 16
        Negatives of each node; where fewer exist, all of them.
    seed : int, default 0
        At least 0. A node's negatives follow from the seed and the node alone, so training takes
        another seed each step: ``loss.replace(seed=step)``.
    positives : {"mean_own", "mean_shared", "log_of_sum"}, default "mean_own"
        What several neighbours mean, as for :class:`InfoNCELoss`.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is O((n + P)·d) for P pairs of a node with a neighbour or a negative. Rows are read in
    place: beyond the gradient, memory is a few numbers a pair and a row. Results do not depend on
    the number of threads.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018. arXiv:1807.03748

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.graph import Graph
    >>> from ruvector.losses import NeighborContrastiveLoss
    >>> graph = Graph.from_edges([[0, 1], [1, 2]], num_nodes=4)
    >>> embeddings = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
    >>> loss = NeighborContrastiveLoss(temperature=0.5, num_negatives=1, reduction="none")
    >>> np.shape(loss(embeddings, graph))
    (4,)
    >>> np.round(loss(embeddings, graph, nodes=[1, 3]), 3).tolist()
    [0.154, 0.0]
    """

    name: ClassVar[str] = "neighbor_contrastive"

    temperature: float = 0.07
    reduction: Reduction = "mean"
    _: KW_ONLY
    num_negatives: int = 16
    seed: int = 0
    positives: Literal["mean_own", "mean_shared", "log_of_sum"] = "mean_own"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        graph: Graph | CSR,
        *,
        nodes: npt.ArrayLike | None = None,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            One row a node; need not be normalised.
        graph : Graph, or CSR of shape (n, n)
            Whose neighbours. Of a matrix row i holds what node i is near to; its values do not
            matter, nor does its diagonal.
        nodes : array_like of int, shape (B,), optional
            The anchors; all nodes without it.

        Returns
        -------
        float, or ndarray of float64 with shape (B,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, nodes out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype, or something else than a graph.
        """
        return self._value(embeddings, *_lists(graph), nodes)

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        graph: Graph | CSR,
        *,
        nodes: npt.ArrayLike | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradient of all rows.

        Parameters
        ----------
        embeddings, graph, nodes
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the embeddings' shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of anchors that have a neighbour as ``active``.
        """
        return self._value_and_grad(IndexedGradients, out, embeddings, *_lists(graph), nodes)


def _lists(graph: object) -> tuple[Array, Array]:
    matrix = graph.adjacency() if isinstance(graph, Graph) else graph
    if not isinstance(matrix, CSR):
        raise InvalidTypeError(f"graph is {type(graph).__name__} but must be a Graph or a CSR")
    if matrix.shape[0] != matrix.shape[1]:
        raise InvalidArgumentError(f"graph has shape {matrix.shape} but must be square")
    return matrix.indptr, matrix.indices


class MultiHopGradients(NamedTuple):
    """Gradients of :class:`MultiHopContrastiveLoss`, each of its input's shape and dtype."""

    anchors: Array
    positives: Array
    negatives: Array | MaybeNone


@dataclass(frozen=True)
class MultiHopContrastiveLoss(Loss):
    """Multi-hop contrast: InfoNCE with the nodes of each hop, weighted by hop.

    For one anchor ``Σ_h w_h · InfoNCE(anchor, its positives at distance h, negatives)`` over the
    hops h = 1, 2, ... that it has positives at, with :class:`InfoNCELoss` [1]_.

    Parameters
    ----------
    hop_weights : sequence of float, default (1.0, 0.5)
        w_1, w_2, ...; each at least 0.
    temperature : float, default 0.07
        Divides the cosines; above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the anchors' values become the result. The mean is over anchors with a positive at any
        hop; an anchor without any contributes 0. With ``"none"`` the value is an array and the
        gradients are those of its sum.
    positives : {"mean_own", "mean_shared", "log_of_sum"}, default "mean_own"
        What several positives of one hop mean, as for :class:`InfoNCELoss`. Those of other hops
        are not in its denominator.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Costs the :class:`InfoNCELoss` of each hop that occurs, and room for its gradients once more.
    Results do not depend on the number of threads.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018. arXiv:1807.03748

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import MultiHopContrastiveLoss
    >>> table = np.array([[1.0, 0.0], [1.0, 0.2], [1.0, 1.0], [0.0, 1.0]])
    >>> loss = MultiHopContrastiveLoss(hop_weights=(1.0, 0.5), temperature=0.5)
    >>> result = loss.value_and_grad_indexed(table, [0], [[1, 2]], [3], hops=[[1, 2]])
    >>> round(result.value, 4)
    0.2404
    """

    name: ClassVar[str] = "multi_hop"

    hop_weights: Sequence[float] = (1.0, 0.5)
    temperature: float = 0.07
    reduction: Reduction = "mean"
    _: KW_ONLY
    positives: Literal["mean_own", "mean_shared", "log_of_sum"] = "mean_own"

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            given = tuple(self.hop_weights)
        except TypeError:
            raise InvalidTypeError(
                f"hop_weights is {self.hop_weights!r} but must be a sequence of numbers"
            ) from None
        if not given:
            raise InvalidArgumentError("hop_weights is empty but needs a weight for each hop")
        weights = tuple(check_real(weight, "hop_weights", low=0.0) for weight in given)
        object.__setattr__(self, "hop_weights", weights)

    def __call__(
        self,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike | None = None,
        *,
        hops: npt.ArrayLike,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        anchors : array_like of float, shape (B, d)
            Need not be normalised.
        positives : array_like of float, shape (B, P, d)
            The positives of each anchor, of all hops.
        negatives : array_like of float, shape (B, K, d) or (M, d), optional
            Own negatives of each anchor, or one set shared by all; the same for all hops.
        hops : array_like of int, shape (B, P)
            How far each positive is from its anchor, from 1 to the number of `hop_weights`; 0
            for an entry that takes no part and gets gradient 0.

        Returns
        -------
        float, or ndarray of float64 with shape (B,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, hops out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(anchors, positives, negatives, hops, self._weights())

    def value_and_grad(
        self,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike | None = None,
        *,
        hops: npt.ArrayLike,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[MultiHopGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients of all embeddings.

        Parameters
        ----------
        anchors, positives, negatives, hops
            As for calling the loss.
        out : sequence of ndarray, optional
            Three arrays to write the gradients to, for anchors, positives and negatives (None
            where those are None), of the inputs' shapes and common dtype. After an exception their
            content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of anchors that have a positive as ``active``.
        """
        return self._value_and_grad(
            MultiHopGradients, out, anchors, positives, negatives, hops, self._weights()
        )

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike | None = None,
        *,
        hops: npt.ArrayLike,
        out: Array | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss on rows of one table and the table's gradient.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            The table.
        anchors : array_like of int, shape (B,)
            Rows of the table. A row may appear any number of times in any role; its gradients
            add up, always in the same order.
        positives : array_like of int, shape (B, P)
            Where `hops` is 0, any row will do.
        negatives : array_like of int, shape (B, K) or (M,), optional
        hops : array_like of int, shape (B, P)
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, d).

        Notes
        -----
        The rows are gathered first, so memory is that of the arrays in :meth:`value_and_grad`.
        """
        return self._value_and_grad_indexed(
            embeddings, out, anchors, positives, negatives, hops, self._weights()
        )

    def _weights(self) -> Array:
        return np.array(self.hop_weights)
