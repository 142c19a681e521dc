"""Feature reconstruction by a linear decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy.typing as npt

from ruvector.arrays import MaybeNone, as_numbers
from ruvector.losses._base import Array, Loss, LossResult, Reduction, Value

__all__ = ["FeatureReconstructionGradients", "FeatureReconstructionLoss"]


class FeatureReconstructionGradients(NamedTuple):
    """Gradients of :class:`FeatureReconstructionLoss`, each of its input's shape and dtype."""

    embeddings: Array
    weight: Array
    bias: Array | MaybeNone


@dataclass(frozen=True)
class FeatureReconstructionLoss(Loss):
    """Feature reconstruction: a linear decoder's answer against the features of each node [1]_.

    The decoder answers ``x = embeddings @ weight + bias``. A node's value, with f features t, is

    - ``"squared_error"``: mean over features of ``(x - t)²``;
    - ``"binary"``: mean over features of ``pos_weight·t·softplus(-x) + (1 - t)·softplus(x)``,
      binary cross-entropy with x as logits;
    - ``"categorical"``: ``Σ_c t_c (lse(x) - x_c)``, cross-entropy with x as logits.

    Parameters
    ----------
    form : {"squared_error", "binary", "categorical"}, default "squared_error"
        What the features are: real numbers, values in 0 to 1, or shares or counts of classes.
    pos_weight : float, default 1.0
        Weight of the positives in ``"binary"``, above 0; not used otherwise.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the nodes' values become the result. With ``"none"`` the value is an array and the
        gradients are those of its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is 6·n·d·f, a third of that for the value alone. Answers are there for 1024 nodes at a
    time, so memory beyond inputs and gradients is O(1024·f + n). Results do not depend on the
    number of threads.

    References
    ----------
    .. [1] Wang, Pan, Long, Zhu and Jiang, "MGAE: Marginalized Graph Autoencoder for Graph
       Clustering", CIKM 2017. doi:10.1145/3132847.3132967

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import FeatureReconstructionLoss
    >>> z, weight = np.eye(2), np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
    >>> loss = FeatureReconstructionLoss()
    >>> loss(z, weight, None, weight)
    0.0
    >>> value, gradients = loss.value_and_grad(z, weight, np.ones(3), weight)
    >>> value, gradients.bias.shape
    (1.0, (3,))
    >>> round(FeatureReconstructionLoss("categorical")(z, weight, None, [1, 2]), 4)
    0.2887
    """

    name: ClassVar[str] = "feature_reconstruction"

    form: Literal["squared_error", "binary", "categorical"] = "squared_error"
    pos_weight: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None,
        target: npt.ArrayLike,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
        weight : array_like of float, shape (d, f)
        bias : array_like of float, shape (f,), or None
        target : array_like of float, shape (n, f)
            The features: in 0 to 1 for ``"binary"``, at least 0 for ``"categorical"``, which also
            takes class numbers, array_like of int of shape (n,).

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
        return self._value(embeddings, weight, bias, *_target(target))

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None,
        target: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[FeatureReconstructionGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        embeddings, weight, bias, target
            As for calling the loss.
        out : sequence of ndarray, optional
            Three arrays to write the gradients to, for embeddings, weight and bias (None where
            that is None), of the inputs' shapes and common dtype. After an exception their
            content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of nodes as ``active``.
        """
        return self._value_and_grad(
            FeatureReconstructionGradients, out, embeddings, weight, bias, *_target(target)
        )

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        rows: npt.ArrayLike,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None,
        target: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[FeatureReconstructionGradients]:
        """Return the loss on rows of one table and the gradients of table and decoder.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            The table.
        rows : array_like of int, shape (B,)
            Rows of the table, any number of times; their gradients add up.
        weight, bias
            As for calling the loss.
        target : array_like, shape (B, f) or (B,)
            As for calling the loss, one entry for each of `rows`.
        out : sequence of ndarray, optional
            Three arrays to write the gradients to, for the table, weight and bias (None where that
            is None), of their shapes and common dtype. After an exception their content is
            undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, where ``embeddings`` has the table's shape.
        """
        arguments = (rows, weight, bias, *_target(target))
        return self._indexed(FeatureReconstructionGradients, embeddings, out, arguments)


def _target(value: npt.ArrayLike) -> tuple[npt.ArrayLike | None, npt.ArrayLike | None]:
    """Return features and classes, one of them None."""
    array = as_numbers(value, "target")
    return (None, array) if array.ndim == 1 else (array, None)
