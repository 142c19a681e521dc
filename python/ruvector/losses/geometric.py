"""Distances, angles and curvature in embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy.typing as npt

from ruvector.losses._base import Array, Loss, LossResult, Reduction, Value

__all__ = [
    "AnglePreservationGradients",
    "AnglePreservationLoss",
    "CurvatureGradients",
    "CurvatureLoss",
    "DistancePreservationGradients",
    "DistancePreservationLoss",
]


class DistancePreservationGradients(NamedTuple):
    """Gradients of :class:`DistancePreservationLoss`, each of its input's shape and dtype."""

    embeddings: Array


@dataclass(frozen=True)
class DistancePreservationLoss(Loss):
    """Stress: distances between embeddings are those given for pairs.

    The value of a pair is ``w (‖z_i - z_j‖ - δ)²`` with δ its given distance, such as a number of
    hops.

    Parameters
    ----------
    weighting : {"uniform", "inverse", "inverse_square"}, default "uniform"
        w: 1, raw stress [1]_; 1/δ, Sammon's mapping [2]_ up to its constant; or 1/δ², as in Kamada
        and Kawai's spring model [3]_. The last two need δ above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over pairs. With ``"none"`` the value is an array and the gradient is that of
        its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Distances are Euclidean, not squared. Where two rows coincide the distance has no derivative and
    the pair's gradient is 0. Time is O(P·d), memory beyond inputs and gradient O(P). Results do not
    depend on the number of threads.

    References
    ----------
    .. [1] Kruskal, "Multidimensional scaling by optimizing goodness of fit to a nonmetric
       hypothesis", Psychometrika 29, 1964. doi:10.1007/BF02289565
    .. [2] Sammon, "A Nonlinear Mapping for Data Structure Analysis", IEEE Transactions on Computers
       C-18, 1969. doi:10.1109/T-C.1969.222678
    .. [3] Kamada and Kawai, "An algorithm for drawing general undirected graphs", Information
       Processing Letters 31, 1989. doi:10.1016/0020-0190(89)90102-6

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import DistancePreservationLoss
    >>> z = np.array([[0.0, 0.0], [3.0, 4.0]])
    >>> DistancePreservationLoss()(z, [0], [1], [2.0])
    9.0
    """

    name: ClassVar[str] = "distance_preservation"

    weighting: Literal["uniform", "inverse", "inverse_square"] = "uniform"
    reduction: Reduction = "mean"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        distances: npt.ArrayLike,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
        src, dst : array_like of int, shape (P,)
            Rows of each pair.
        distances : array_like of float, shape (P,)
            Wanted distances, at least 0.

        Returns
        -------
        float, or ndarray of float64 with shape (P,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, values out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(embeddings, src, dst, distances)

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        distances: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[DistancePreservationGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        embeddings, src, dst, distances
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
            DistancePreservationGradients, out, embeddings, src, dst, distances
        )


class AnglePreservationGradients(NamedTuple):
    """Gradients of :class:`AnglePreservationLoss`, each of its input's shape and dtype."""

    embeddings: Array


@dataclass(frozen=True)
class AnglePreservationLoss(Loss):
    """Angles of triples are those given, compared by their cosines [1]_.

    The angle of a triple lies at ``vertex``, between the directions to ``first`` and ``second``.
    With u and v these differences of rows, ``e = u·v / max(|u||v|, 1e-8) - cosine`` is the error of
    a triple.

    Parameters
    ----------
    penalty : {"squared", "huber"}, default "squared"
        The value of a triple: ``e²``, or the Huber loss of the paper, ``e²/2`` up to 1 and
        ``|e| - 1/2`` beyond.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over triples. With ``"none"`` the value is an array and the gradient is that of
        its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Angles do not change when embeddings are moved, turned or scaled. Time is O(T·d), memory beyond
    inputs and gradient O(T). Results do not depend on the number of threads.

    References
    ----------
    .. [1] Park, Kim, Lu and Cho, "Relational Knowledge Distillation", CVPR 2019. arXiv:1904.05068,
       equations 8 and 9 (RKD-A)

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import AnglePreservationLoss
    >>> z = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 2.0]])
    >>> AnglePreservationLoss()(z, [0], [1], [2], [0.5])
    0.25
    """

    name: ClassVar[str] = "angle_preservation"

    penalty: Literal["squared", "huber"] = "squared"
    reduction: Reduction = "mean"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        vertex: npt.ArrayLike,
        first: npt.ArrayLike,
        second: npt.ArrayLike,
        cosines: npt.ArrayLike,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
        vertex, first, second : array_like of int, shape (T,)
            Rows of each triple; the angle is at ``vertex``.
        cosines : array_like of float, shape (T,)
            Cosines of the wanted angles, in -1 to 1.

        Returns
        -------
        float, or ndarray of float64 with shape (T,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, values out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(embeddings, vertex, first, second, cosines)

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        vertex: npt.ArrayLike,
        first: npt.ArrayLike,
        second: npt.ArrayLike,
        cosines: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[AnglePreservationGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        embeddings, vertex, first, second, cosines
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the input's shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of triples as ``active``.
        """
        return self._value_and_grad(
            AnglePreservationGradients, out, embeddings, vertex, first, second, cosines
        )


class CurvatureGradients(NamedTuple):
    """Gradients of :class:`CurvatureLoss`, each of its input's shape and dtype."""

    embeddings: Array


@dataclass(frozen=True)
class CurvatureLoss(Loss):
    """Edges have the lengths that their curvature asks for.

    An edge of curvature κ and length ℓ has, after one step of discrete Ricci flow [1]_, the length
    ``ℓ (1 - step·κ)``, never below 0. The value of an edge is the square of its distortion,
    ``(‖z_i - z_j‖ - scale·ℓ (1 - step·κ))²``. With Ollivier's curvature [2]_, ``step=1`` and ℓ = 1
    the wanted length is exactly the transport distance between the neighbourhoods of the two ends:
    edges within a community shrink, edges between communities stretch. Forman's curvature [3]_
    grows with degrees and needs a small step.

    Parameters
    ----------
    step : float, default 1.0
        Length of the step of the flow; at least 0, where 0 leaves lengths as they are.
    scale : float, default 1.0
        Embedding distance of one unit of length; above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean is over edges. With ``"none"`` the value is an array and the gradient is that of
        its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    See Also
    --------
    forman_curvature, ollivier_curvature : Curvatures of the edges of a graph.

    Notes
    -----
    Distances are Euclidean, not squared. Where two rows coincide the pair's gradient is 0. Time is
    O(E·d), memory beyond inputs and gradient O(E). Results do not depend on the number of threads.

    References
    ----------
    .. [1] Ni, Lin, Luo and Gao, "Community Detection on Networks with Ricci Flow", Scientific
       Reports 9, 2019. doi:10.1038/s41598-019-46380-9
    .. [2] Ollivier, "Ricci curvature of Markov chains on metric spaces", Journal of Functional
       Analysis 256, 2009. doi:10.1016/j.jfa.2008.11.001
    .. [3] Weber, Saucan and Jost, "Characterizing complex networks with Forman-Ricci curvature and
       associated geometric flows", Journal of Complex Networks 5, 2017. doi:10.1093/comnet/cnw030

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import CurvatureLoss
    >>> z = np.array([[0.0, 0.0], [3.0, 4.0]])
    >>> CurvatureLoss()(z, [0], [1], [-1.0])
    9.0
    """

    name: ClassVar[str] = "curvature"

    step: float = 1.0
    scale: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        curvature: npt.ArrayLike,
        *,
        lengths: npt.ArrayLike | None = None,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
        src, dst : array_like of int, shape (E,)
            Ends of the edges.
        curvature : array_like of float, shape (E,)
        lengths : array_like of float, shape (E,), optional
            Lengths of the edges in the graph, at least 0; 1 where not given.

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
        return self._value(embeddings, src, dst, curvature, lengths)

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        curvature: npt.ArrayLike,
        *,
        lengths: npt.ArrayLike | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[CurvatureGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        embeddings, src, dst, curvature, lengths
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the input's shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of edges as ``active``.
        """
        return self._value_and_grad(
            CurvatureGradients, out, embeddings, src, dst, curvature, lengths
        )
