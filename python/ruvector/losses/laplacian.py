"""Neighbours in a graph are embedded near each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy.typing as npt

from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.losses._base import Array, Loss, LossResult, Reduction, Value

__all__ = ["LaplacianGradients", "LaplacianLoss"]


class LaplacianGradients(NamedTuple):
    """Gradient of :class:`LaplacianLoss`, of its input's shape and dtype."""

    embeddings: Array


@dataclass(frozen=True)
class LaplacianLoss(Loss):
    """Laplacian smoothness of embeddings on a graph, ``tr(ZᵀLZ)`` [1]_.

    With ``w`` the weight of an edge (i, j) and ``d`` the sum of weights at a node, the sum over
    undirected edges of

    - ``"none"``: ``w ‖z_i - z_j‖²``, which is ``tr(Zᵀ(D - A)Z)``;
    - ``"symmetric"``: ``w ‖z_i/√d_i - z_j/√d_j‖²``, ``tr(Zᵀ(I - D^-½ A D^-½)Z)`` [2]_ over the
      nodes that have edges; it vanishes where z is proportional to √d, not where it is constant;
    - ``"edge"``: ``w/√(d_i d_j) · ‖z_i - z_j‖²``, which is neither of them.

    A node without edges gets gradient 0, and so does a loop add nothing, to no degree either.
    Constant embeddings are a minimum: use it beside a loss that pushes apart.

    Parameters
    ----------
    normalization : {"none", "symmetric", "edge"}, default "none"
        Which of these.
    reduction : {"sum", "mean"}, default "sum"
        The mean divides by the number of edges.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is 2·E·d for E edges; memory beside the gradient is one list entry an edge end and a few
    numbers a node. Edges given as `src` and `dst` are sorted into lists at each call; a graph
    brings its lists along, so that training should pass ``graph=``. Differences of rows are summed,
    not the rows, so that a common offset costs no digits. Results do not depend on the number of
    threads.

    References
    ----------
    .. [1] Belkin and Niyogi, "Laplacian Eigenmaps for Dimensionality Reduction and Data
       Representation", Neural Computation 15, 2003.
    .. [2] Chung, "Spectral Graph Theory", AMS, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.graph import Graph
    >>> from ruvector.losses import LaplacianLoss
    >>> z = np.array([[0.0], [1.0], [3.0]])
    >>> LaplacianLoss()(z, [0, 1], [1, 2])
    5.0
    >>> path = Graph.from_edges([[0, 1], [1, 2]])
    >>> value, gradients = LaplacianLoss().value_and_grad(z, graph=path)
    >>> gradients.embeddings.ravel()
    array([-2., -2.,  4.])
    """

    name: ClassVar[str] = "laplacian"

    normalization: Literal["none", "symmetric", "edge"] = "none"
    reduction: Reduction = "sum"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike | None = None,
        dst: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        *,
        graph: Graph | None = None,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            One row a node.
        src, dst : array_like of int, shape (E,)
            The ends of each undirected edge. List each edge once: one listed twice, in whichever
            directions, counts twice.
        weights : array_like of float, shape (E,), optional
            At least 0; without them every edge counts 1. float64 weights make the computation
            float64.
        graph : Graph, optional
            In place of `src`, `dst` and `weights`; its nodes are the rows.

        Returns
        -------
        float

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, nodes that are no rows, negative weights, NaN or
            infinity, both edges and a graph or neither.
        InvalidTypeError
            Arrays of a wrong dtype, a `graph` that is none.
        """
        return self._value(embeddings, *_edges(src, dst, weights, graph))

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike | None = None,
        dst: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        *,
        graph: Graph | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[LaplacianGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradient, 2·L·Z for ``"none"``.

        Parameters
        ----------
        embeddings, src, dst, weights, graph
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the embeddings' shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of edges that are no loops as ``active``.
        """
        edges = _edges(src, dst, weights, graph)
        return self._value_and_grad(LaplacianGradients, out, embeddings, *edges)


def _edges(
    src: npt.ArrayLike | None,
    dst: npt.ArrayLike | None,
    weights: npt.ArrayLike | None,
    graph: Graph | None,
) -> tuple[object, ...]:
    """Return the core's inputs beside the embeddings."""
    if graph is None:
        if src is None or dst is None:
            raise InvalidArgumentError("src and dst are both needed where there is no graph")
        return src, dst, weights, None, None
    if not isinstance(graph, Graph):
        raise InvalidTypeError(f"graph is {type(graph).__name__} but must be a ruvector.Graph")
    if not (src is None and dst is None and weights is None):
        raise InvalidArgumentError("graph brings its edges; leave out src, dst and weights")
    adjacency = graph.adjacency()
    values = None if graph.weights is None else adjacency.data
    return None, None, values, adjacency.indptr, adjacency.indices
