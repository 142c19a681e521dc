"""Losses of labelled nodes, graphs and edges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy.typing as npt

from ruvector.arrays import MaybeNone
from ruvector.losses._base import (
    Array,
    IndexedGradients,
    Loss,
    LossResult,
    Reduction,
    Value,
)

__all__ = [
    "EdgeBCEGradients",
    "EdgeBCELoss",
    "GraphClassificationGradients",
    "GraphClassificationLoss",
    "NodeClassificationGradients",
    "NodeClassificationLoss",
]


class NodeClassificationGradients(NamedTuple):
    """Gradients of :class:`NodeClassificationLoss`, each of its input's shape and dtype."""

    logits: Array


@dataclass(frozen=True)
class NodeClassificationLoss(Loss):
    """Softmax cross-entropy of each node's logits against its class.

    The value of a node of class y is ``w_y (lse(logits) - logits_y)``, with w the weights of the
    classes.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean divides by the sum of the weights ``w_y`` of the nodes that count, which is their
        number where no weights are given. With ``"none"`` the value is an array and the gradient is
        that of its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time and memory are O(n·c). Logits of any size neither overflow nor lose the gradient. Results
    do not depend on the number of threads.

    References
    ----------
    .. [1] Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks",
       ICLR 2017. arXiv:1609.02907, equation 10 (a sum there)

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import NodeClassificationLoss
    >>> logits = np.array([[2.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    >>> round(NodeClassificationLoss()(logits, [0, 1, -1]), 4)
    0.2201
    """

    name: ClassVar[str] = "node_classification"

    reduction: Reduction = "mean"

    def __call__(
        self,
        logits: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        class_weights: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        logits : array_like of float, shape (n, c)
        labels : array_like of int, shape (n,)
            Classes from 0 to c - 1; -1 for none. A node without one contributes 0.
        class_weights : array_like of float, shape (c,), optional
            Each at least 0.
        mask : array_like of bool, shape (n,), optional
            Which nodes count; the others contribute 0.

        Returns
        -------
        float, or ndarray of float64 with shape (n,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, values out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(logits, labels, class_weights, mask)

    def value_and_grad(
        self,
        logits: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        class_weights: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[NodeClassificationGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        logits, labels, class_weights, mask
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the input's shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of nodes that count and whose class weighs
            anything as ``active``.
        """
        return self._value_and_grad(
            NodeClassificationGradients, out, logits, labels, class_weights, mask
        )

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        rows: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        class_weights: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        out: Array | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss on rows of one table of logits and the table's gradient.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, c)
            The table.
        rows : array_like of int, shape (B,)
            Rows of the table, any number of times; their gradients add up.
        labels, mask : array_like, shape (B,)
            As for calling the loss, one for each of `rows`.
        class_weights
            As for calling the loss.
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, c).
        """
        return self._value_and_grad_indexed(embeddings, out, rows, labels, class_weights, mask)


class GraphClassificationGradients(NamedTuple):
    """Gradients of :class:`GraphClassificationLoss`, each of its input's shape and dtype."""

    embeddings: Array
    weight: Array | MaybeNone
    bias: Array | MaybeNone


@dataclass(frozen=True)
class GraphClassificationLoss(Loss):
    """Softmax cross-entropy of each graph's pooled nodes against its class.

    The rows of a graph's nodes are pooled into one; ``pooled @ weight + bias`` are its logits, or
    the pooled row itself where there is no weight. The value of a graph of class y is ``w_y
    (lse(logits) - logits_y)``, with w the weights of the classes.

    Parameters
    ----------
    pooling : {"mean", "sum", "max"}, default "mean"
        What each column of a graph's nodes becomes. Where several nodes share the largest value the
        first gets the gradient. A graph without nodes has zeros.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean divides by the sum of the weights ``w_y`` of the graphs that count, which is their
        number where no weights are given. With ``"none"`` the value is an array and the gradients
        are those of its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is O(n·d + g·d·c), memory beyond inputs and gradients O(n + g·d). Results do not depend on
    the number of threads.

    References
    ----------
    .. [1] Xu, Hu, Leskovec and Jegelka, "How Powerful are Graph Neural Networks?", ICLR 2019.
       arXiv:1810.00826 (on what the poolings can tell apart)

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import GraphClassificationLoss
    >>> z = np.array([[3.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> loss = GraphClassificationLoss("mean")
    >>> round(loss(z, graphs=[0, 0, 1], labels=[0, 1]), 4)
    0.2201
    >>> value, gradients = loss.value_and_grad(z, np.eye(2), graphs=[0, 0, 1], labels=[0, 1])
    >>> gradients.weight.shape
    (2, 2)
    """

    name: ClassVar[str] = "graph_classification"

    pooling: Literal["mean", "sum", "max"] = "mean"
    reduction: Reduction = "mean"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        bias: npt.ArrayLike | None = None,
        *,
        graphs: npt.ArrayLike,
        labels: npt.ArrayLike,
        class_weights: npt.ArrayLike | None = None,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            Rows of the nodes of all graphs.
        weight : array_like of float, shape (d, c), optional
        bias : array_like of float, shape (c,), optional
            Only with a weight.
        graphs : array_like of int, shape (n,)
            Which graph each node belongs to, in any order.
        labels : array_like of int, shape (g,)
            Class of each graph, from 0 to c - 1; -1 for none, which contributes 0.
        class_weights : array_like of float, shape (c,), optional
            Each at least 0.

        Returns
        -------
        float, or ndarray of float64 with shape (g,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, values out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(embeddings, weight, bias, graphs, labels, class_weights)

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        bias: npt.ArrayLike | None = None,
        *,
        graphs: npt.ArrayLike,
        labels: npt.ArrayLike,
        class_weights: npt.ArrayLike | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[GraphClassificationGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        embeddings, weight, bias, graphs, labels, class_weights
            As for calling the loss.
        out : sequence of ndarray, optional
            Three arrays to write the gradients to, for embeddings, weight and bias (None where
            those are None), of the inputs' shapes and common dtype. After an exception their
            content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of graphs that count and whose class weighs
            anything as ``active``.
        """
        return self._value_and_grad(
            GraphClassificationGradients,
            out,
            embeddings,
            weight,
            bias,
            graphs,
            labels,
            class_weights,
        )

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        rows: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        bias: npt.ArrayLike | None = None,
        *,
        graphs: npt.ArrayLike,
        labels: npt.ArrayLike,
        class_weights: npt.ArrayLike | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[GraphClassificationGradients]:
        """Return the loss on rows of one table and the gradients of table and classifier.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            The table.
        rows : array_like of int, shape (B,)
            Rows of the table, the nodes of all graphs, any number of times; their gradients add up.
        weight, bias, labels, class_weights
            As for calling the loss.
        graphs : array_like of int, shape (B,)
            Which graph each of `rows` belongs to, in any order.
        out : sequence of ndarray, optional
            Three arrays to write the gradients to, for the table, weight and bias (None where
            these are None), of their shapes and common dtype. After an exception their content is
            undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, where ``embeddings`` has the table's shape.
        """
        arguments = (rows, weight, bias, graphs, labels, class_weights)
        return self._indexed(GraphClassificationGradients, embeddings, out, arguments)


class EdgeBCEGradients(NamedTuple):
    """Gradients of :class:`EdgeBCELoss`, each of its input's shape and dtype."""

    logits: Array


@dataclass(frozen=True)
class EdgeBCELoss(Loss):
    """Binary cross-entropy of edges, with logits from any predictor.

    The value of an edge with logit x and label t is
    ``pos_weight·t·softplus(-x) + (1 - t)·softplus(x)``; no epsilon stands under a logarithm.

    Parameters
    ----------
    pos_weight : float, default 1.0
        Weight of the positives; above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over the edges that count. With ``"none"`` the value is an array and the
        gradient is that of its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time and memory are O(E). Results do not depend on the number of threads.

    References
    ----------
    .. [1] Kipf and Welling, "Variational Graph Auto-Encoders", 2016. arXiv:1611.07308

    Examples
    --------
    >>> from ruvector.losses import EdgeBCELoss
    >>> round(EdgeBCELoss()([2.0, -1.0], [1, 0]), 4)
    0.2201
    """

    name: ClassVar[str] = "edge_bce"

    pos_weight: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        logits: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        mask: npt.ArrayLike | None = None,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        logits : array_like of float, shape (E,)
        labels : array_like of float, shape (E,)
            In 0 to 1.
        mask : array_like of bool, shape (E,), optional
            Which edges count; the others contribute 0.

        Returns
        -------
        float, or ndarray of float64 with shape (E,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, values out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(logits, labels, mask)

    def value_and_grad(
        self,
        logits: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        mask: npt.ArrayLike | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[EdgeBCEGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        logits, labels, mask
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the input's shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of edges that count as ``active``.
        """
        return self._value_and_grad(EdgeBCEGradients, out, logits, labels, mask)
