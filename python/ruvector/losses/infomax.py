"""Mutual information between states and their summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy.typing as npt

from ruvector.arrays import MaybeNone
from ruvector.losses._base import Array, Loss, LossResult, Reduction, Value

__all__ = ["DeepGraphInfomaxGradients", "DeepGraphInfomaxLoss", "IndexedInfomaxGradients"]


class DeepGraphInfomaxGradients(NamedTuple):
    """Gradients of :class:`DeepGraphInfomaxLoss`, each of its input's shape and dtype."""

    states: Array
    corrupted: Array
    weight: Array
    summary: Array | MaybeNone


class IndexedInfomaxGradients(NamedTuple):
    """Gradients of :class:`DeepGraphInfomaxLoss` on rows of one table."""

    embeddings: Array
    weight: Array
    summary: Array | MaybeNone


@dataclass(frozen=True)
class DeepGraphInfomaxLoss(Loss):
    """Deep Graph Infomax: the summary of a graph tells its states from corrupted ones [1]_.

    A bilinear discriminator gives state h and summary s the logit ``x = hᵀ W s``. The value of a
    state is ``softplus(-x)``, that of a corrupted state ``softplus(x)``.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over all states, corrupted ones included, as in the paper. With ``"none"`` the
        value is an array, the states first, and the gradients are those of its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is O((n + m)·d + d²), memory beyond inputs and gradients O(n + m + d). Results do not
    depend on the number of threads.

    References
    ----------
    .. [1] Veličković, Fedus, Hamilton, Liò, Bengio and Hjelm, "Deep Graph Infomax", ICLR 2019.
       arXiv:1809.10341

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import DeepGraphInfomaxLoss
    >>> states = np.array([[2.0, 0.0], [1.0, 1.0]])
    >>> loss = DeepGraphInfomaxLoss()
    >>> round(loss(states, -states, np.eye(2)), 4)
    0.1954
    >>> value, gradients = loss.value_and_grad(states, -states, np.eye(2))
    >>> gradients.weight.shape
    (2, 2)
    """

    name: ClassVar[str] = "deep_graph_infomax"

    reduction: Reduction = "mean"

    def __call__(
        self,
        states: npt.ArrayLike,
        corrupted: npt.ArrayLike,
        weight: npt.ArrayLike,
        summary: npt.ArrayLike | None = None,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        states : array_like of float, shape (n, d)
            What the encoder makes of the graph.
        corrupted : array_like of float, shape (m, d)
            What it makes of the corrupted graph, such as one with shuffled features.
        weight : array_like of float, shape (d, k)
        summary : array_like of float, shape (k,), optional
            Without one it is ``sigmoid(mean of states)``, the paper's, so k = d, and the gradient
            of the states goes through it.

        Returns
        -------
        float, or ndarray of float64 with shape (n + m,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, values out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(states, corrupted, weight, summary)

    def value_and_grad(
        self,
        states: npt.ArrayLike,
        corrupted: npt.ArrayLike,
        weight: npt.ArrayLike,
        summary: npt.ArrayLike | None = None,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[DeepGraphInfomaxGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        states, corrupted, weight, summary
            As for calling the loss.
        out : sequence of ndarray, optional
            Four arrays to write the gradients to, for states, corrupted states, weight and
            summary (None where that is None), of the inputs' shapes and common dtype. After an
            exception their content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of states, corrupted ones included as ``active``.
        """
        return self._value_and_grad(
            DeepGraphInfomaxGradients, out, states, corrupted, weight, summary
        )

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        states: npt.ArrayLike,
        corrupted: npt.ArrayLike,
        weight: npt.ArrayLike,
        summary: npt.ArrayLike | None = None,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[IndexedInfomaxGradients]:
        """Return the loss on rows of one table and the gradients of table and discriminator.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            The table.
        states, corrupted : array_like of int, shapes (B,) and (C,)
            Rows of the table, any number of times; their gradients add up.
        weight, summary
            As for calling the loss.
        out : sequence of ndarray, optional
            Three arrays to write the gradients to, for the table, weight and summary (None where
            that is None), of their shapes and common dtype. After an exception their content is
            undefined.

        Returns
        -------
        LossResult
            Its gradients have the fields ``embeddings``, shape (n, d), ``weight`` and ``summary``.
        """
        arguments = (states, corrupted, weight, summary)
        return self._indexed(IndexedInfomaxGradients, embeddings, out, arguments)
