"""How well a linear classifier reads labels off frozen embeddings."""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_labels, check_real
from ruvector.blas import one_blas_thread
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.linalg import matmul

__all__ = ["LogisticModel", "ProbeResult", "linear_probe", "logistic_regression"]

logger = logging.getLogger(__name__)

Doubles = npt.NDArray[np.float64]

# Inverse strengths of the penalty, two to a decade.
STRENGTHS = tuple(10.0 ** (i / 2) for i in range(-6, 7))

# Of a probe's gradient: a tenth of it took half as much work again and moved accuracies by .0001.
_TOLERANCE = 1e-6

_ROWS = 1 << 14
_NEWTON_STEPS = 200
_CG_STEPS = 500


class ProbeResult(NamedTuple):
    """What `linear_probe` found.

    Attributes
    ----------
    accuracy : float
        On the test rows.
    validation_accuracy : float
        On the validation rows, of the strength that was chosen.
    strength : float
        scikit-learn's ``C``.
    """

    accuracy: float
    validation_accuracy: float
    strength: float


class LogisticModel(NamedTuple):
    """A linear classifier: row ``x`` has logits ``x @ weights + bias``.

    Attributes
    ----------
    weights : (d, c) float64
        One column a class. With two classes the columns are each other's negatives.
    bias : (c,) float64
    classes : (c,) int64
        Labels in rising order.
    """

    weights: Doubles
    bias: Doubles
    classes: npt.NDArray[np.int64]


def _dot(a: Doubles, b: Doubles) -> float:
    # `a @ b` would hand more than 10,000 entries to all threads of OpenBLAS, at every step.
    return float(np.einsum("i,i->", a, b))


class _Span:
    """Training rows, centred and turned to the axes of their own spread.

    The optimum lies in the rows' span, whatever the penalty's strength, so a wide matrix shrinks
    to as many columns as it has rows. Along these axes the columns are orthogonal, which makes
    the Hessian's diagonal a good preconditioner; centring takes out the coupling with the bias.
    """

    def __init__(self, features: Doubles) -> None:
        self.mean = features.mean(axis=0)
        centred = features - self.mean
        rows, columns = centred.shape
        if rows < columns:
            with one_blas_thread(rows):
                left, sizes, right = np.linalg.svd(centred, full_matrices=False)
            keep = sizes > sizes.max(initial=0.0) * np.finfo(np.float64).eps * columns
            self.axes: Doubles = right[keep].T
            self.rows: Doubles = np.ascontiguousarray(left[:, keep] * sizes[keep])
        else:
            square = matmul(centred, centred, transpose_a=True)
            with one_blas_thread(columns):
                self.axes = np.linalg.eigh(square)[1]
            self.rows = matmul(centred, self.axes)
        self.spread = np.einsum("ij,ij->j", self.rows, self.rows)


class _Objective:
    """Mean log-loss plus penalty over flat parameters: weights (r, c) and then bias (c,)."""

    def __init__(self, span: _Span, targets: npt.NDArray[np.int64], count: int) -> None:
        self.span = span
        self.targets = targets
        self.count = count
        self.size = len(targets)
        self.penalty = 0.0

    def set_strength(self, strength: float) -> None:
        # scikit-learn gives two classes one weight vector w; here they are w/2 and -w/2, whose
        # squares add up to half of it.
        factor = 2.0 if self.count == 2 else 1.0
        self.penalty = factor / (strength * self.size)

    def split(self, flat: Doubles) -> tuple[Doubles, Doubles]:
        at = self.span.rows.shape[1] * self.count
        return flat[:at].reshape(-1, self.count), flat[at:]

    def value(self, flat: Doubles) -> tuple[float, Doubles]:
        """Return the objective and the classes' probabilities."""
        weights, bias = self.split(flat)
        logits = matmul(self.span.rows, weights) + bias
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[np.arange(self.size), self.targets]
        np.exp(logits, out=logits)
        totals = logits.sum(axis=1, keepdims=True)
        loss = float(np.log(totals).sum() - own.sum()) / self.size
        return loss + 0.5 * self.penalty * _dot(weights.ravel(), weights.ravel()), logits / totals

    def _pull(self, residuals: Doubles, weights: Doubles) -> Doubles:
        rows = matmul(self.span.rows, residuals, transpose_a=True)
        rows = rows / self.size + self.penalty * weights
        return np.concatenate([rows.ravel(), residuals.sum(axis=0) / self.size])

    def gradient(self, flat: Doubles, probabilities: Doubles) -> Doubles:
        residuals = probabilities.copy()
        residuals[np.arange(self.size), self.targets] -= 1.0
        return self._pull(residuals, self.split(flat)[0])

    def hessian_times(self, flat: Doubles, probabilities: Doubles) -> Doubles:
        weights, bias = self.split(flat)
        pushed = probabilities * (matmul(self.span.rows, weights) + bias)
        pushed -= probabilities * pushed.sum(axis=1, keepdims=True)
        return self._pull(pushed, weights)

    def diagonal(self, probabilities: Doubles) -> Doubles:
        """Return about the Hessian's diagonal, positive."""
        curvature = (probabilities * (1.0 - probabilities)).mean(axis=0)
        curvature = np.maximum(curvature, 1e-12)
        rows = np.outer(self.span.spread / self.size, curvature) + self.penalty
        return np.concatenate([rows.ravel(), curvature])


def _newton_step(
    objective: _Objective, gradient: Doubles, probabilities: Doubles, tolerance: float
) -> Doubles:
    """Solve `Hessian · step = -gradient` by preconditioned conjugate gradients."""
    inverse = 1.0 / objective.diagonal(probabilities)
    step = np.zeros_like(gradient)
    residual = -gradient
    scaled = inverse * residual
    direction = scaled.copy()
    product = _dot(residual, scaled)
    goal = tolerance**2 * product
    for _ in range(_CG_STEPS):
        image = objective.hessian_times(direction, probabilities)
        curvature = _dot(direction, image)
        # Only along a shift of all biases is it flat; rounding may lead there.
        if curvature <= 1e-300:
            break
        length = product / curvature
        step += length * direction
        residual -= length * image
        scaled = inverse * residual
        product, before = _dot(residual, scaled), product
        if product <= goal:
            break
        direction = scaled + (product / before) * direction
    return step


def _minimise(objective: _Objective, start: Doubles, tolerance: float) -> Doubles:
    """Newton's method with a line search; the objective is convex, so any start will do."""
    flat = start
    value, probabilities = objective.value(flat)
    for _ in range(_NEWTON_STEPS):
        gradient = objective.gradient(flat, probabilities)
        size = float(np.abs(gradient).max(initial=0.0))
        if size <= tolerance:
            return flat
        forcing = min(0.1, np.sqrt(size))
        step = _newton_step(objective, gradient, probabilities, forcing)
        slope = _dot(gradient, step)
        length = 1.0
        while length > 1e-10:
            trial = flat + length * step
            reached, there = objective.value(trial)
            # The second term lets rounding pass where the objective no longer changes.
            if reached <= value + 1e-4 * length * slope + 1e-15 * abs(value):
                break
            length *= 0.5
        else:
            break
        flat, value, probabilities = trial, reached, there
    logger.warning(
        "logistic regression stopped at a gradient of %.1e, above %.1e; "
        "features of very unequal size may need standardize=True",
        float(np.abs(objective.gradient(flat, probabilities)).max(initial=0.0)),
        tolerance,
    )
    return flat


def _model(objective: _Objective, flat: Doubles, classes: npt.NDArray[np.int64]) -> LogisticModel:
    inner, bias = objective.split(flat)
    weights = matmul(objective.span.axes, inner)
    # Centred over classes: shifting all biases changes nothing, so choose one shift.
    bias = bias - np.einsum("i,ij->j", objective.span.mean, weights)
    return LogisticModel(weights, bias - bias.mean(), classes)


def fit_strengths(
    features: Doubles, labels: npt.NDArray[np.int64], strengths: Sequence[float], tolerance: float
) -> list[LogisticModel]:
    classes, targets = np.unique(labels, return_inverse=True)
    objective = _Objective(_Span(features), targets.reshape(-1), len(classes))
    flat = np.zeros((objective.span.rows.shape[1] + 1) * len(classes))
    models = []
    for strength in strengths:
        objective.set_strength(strength)
        # The last optimum is near the next one.
        flat = _minimise(objective, flat, tolerance)
        models.append(_model(objective, flat, classes))
    return models


def checked_rows(features: npt.NDArray[Any], keep: npt.NDArray[np.int64], name: str) -> Doubles:
    rows = features[keep].astype(np.float64)
    if not np.isfinite(rows).all():
        row = int(keep[np.flatnonzero(~np.isfinite(rows).all(axis=1))[0]])
        raise InvalidArgumentError(f"{name} has NaN or infinity in row {row}")
    return rows


def logistic_regression(
    features: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    strength: float = 1.0,
    tolerance: float = 1e-9,
) -> LogisticModel:
    """Fit multinomial logistic regression with an L2 penalty on the weights, not the bias.

    The optimum of ``strength · Σ loss + ½ ‖weights‖²``, that of scikit-learn's
    ``LogisticRegression(C=strength)``, also for two classes.

    Parameters
    ----------
    features : (n, d) array
        Finite; computed with in float64.
    labels : (n,) integers
        At least two classes; rows with -1 are left out.
    strength : float
        scikit-learn's ``C``: larger trusts the data more. Greater than 0.
    tolerance : float
        Largest entry that the gradient of the objective over ``strength · n`` may keep.

    Returns
    -------
    LogisticModel

    Raises
    ------
    InvalidArgumentError
        Wrong shapes, NaN or infinity, fewer than two classes.
    InvalidTypeError
        Not numbers.

    Notes
    -----
    Newton's method, its linear systems solved by preconditioned conjugate gradients:
    O(n · min(n, d) · c) operations for each of their steps, after a singular value decomposition
    (n < d) or an eigendecomposition of d × d.

    References
    ----------
    Lin, Weng and Keerthi (2008), Trust region Newton method for large-scale logistic regression.

    Examples
    --------
    >>> from ruvector.probe import logistic_regression
    >>> model = logistic_regression([[0.0], [1.0], [3.0], [4.0]], [0, 0, 1, 1])
    >>> model.weights.round(3)
    array([[-0.503,  0.503]])
    """
    array = as_floats(features, "features")
    known = as_labels(labels, "labels", count=len(array))
    strength = check_real(strength, "strength", low=0.0, open_low=True)
    tolerance = check_real(tolerance, "tolerance", low=0.0, open_low=True)
    keep = np.flatnonzero(known != -1)
    check_classes(known[keep], "labels")
    return fit_strengths(checked_rows(array, keep, "features"), known[keep], [strength], tolerance)[
        0
    ]


def check_classes(labels: npt.NDArray[np.int64], what: str) -> None:
    if not len(labels):
        raise InvalidArgumentError(f"{what} has no labelled row; there is nothing to learn from")
    if labels.min() == labels.max():
        raise InvalidArgumentError(f"{what} has the one class {labels[0]} but needs two or more")


def _mask(mask: npt.ArrayLike, name: str, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        raise InvalidTypeError(f"{name} has dtype {array.dtype} but must be bool")
    if array.shape != known.shape:
        raise InvalidArgumentError(
            f"{name} has shape {array.shape} but there are {len(known)} rows"
        )
    rows = np.flatnonzero(array & known)
    if not len(rows):
        raise InvalidArgumentError(f"{name} names no labelled row")
    return rows


def _accuracy(
    model: LogisticModel,
    features: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    keep: npt.NDArray[np.int64],
) -> float:
    correct = 0
    for start in range(0, len(keep), _ROWS):
        rows = keep[start : start + _ROWS]
        logits = matmul(features[rows].astype(np.float64), model.weights) + model.bias
        correct += int((model.classes[logits.argmax(axis=1)] == labels[rows]).sum())
    return correct / len(keep)


def linear_probe(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    train_mask: npt.ArrayLike,
    val_mask: npt.ArrayLike,
    test_mask: npt.ArrayLike,
    *,
    strengths: Sequence[float] = STRENGTHS,
    standardize: bool = False,
) -> ProbeResult:
    """Accuracy of a linear classifier on frozen embeddings, its penalty chosen on validation rows.

    One `logistic_regression` for each strength on the training rows; the one most accurate on the
    validation rows, the smaller strength where two are equal, is applied to the test rows. Test
    labels decide nothing, and the classifier is not fitted again with validation rows.

    Parameters
    ----------
    embeddings : (n, d) array
        Finite in the rows that are used. Taken as they are.
    labels : (n,) integers
        Classes; rows with -1 are left out of every mask.
    train_mask, val_mask, test_mask : (n,) bool
        Rows to fit on, to choose the strength on, and to report.
    strengths : sequence of float
        scikit-learn's ``C``; from 0.001 to 1000 by default, two to a decade.
    standardize : bool
        Bring each column to mean 0 and deviation 1 over the training rows first. Changes what the
        penalty means: say so where figures are compared.

    Returns
    -------
    ProbeResult

    Raises
    ------
    InvalidArgumentError
        Wrong shapes, overlapping masks, NaN or infinity, no labelled row in a mask, one class in
        the training rows.
    InvalidTypeError
        Masks that are not bool.

    Notes
    -----
    Nothing is drawn at random: the optimum is unique. For the cost see `logistic_regression`;
    each strength starts from the optimum of the one before.

    References
    ----------
    Alain and Bengio (2017), Understanding intermediate layers using linear classifier probes.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector import linear_probe
    >>> embeddings = np.repeat(np.eye(2), 6, axis=0)
    >>> labels = np.repeat([0, 1], 6)
    >>> part = np.arange(12) % 3
    >>> linear_probe(embeddings, labels, part == 0, part == 1, part == 2).accuracy
    1.0
    """
    array = as_floats(embeddings, "embeddings")
    classes = as_labels(labels, "labels", count=len(array))
    known = classes != -1
    train = _mask(train_mask, "train_mask", known)
    val = _mask(val_mask, "val_mask", known)
    test = _mask(test_mask, "test_mask", known)
    for a, b, names in [
        (train, val, "train_mask and val_mask"),
        (train, test, "train_mask and test_mask"),
        (val, test, "val_mask and test_mask"),
    ]:
        shared = np.intersect1d(a, b, assume_unique=True)
        if len(shared):
            raise InvalidArgumentError(f"{names} share row {shared[0]}; they must be disjoint")
    check_classes(classes[train], "train_mask")
    grid = sorted({check_real(c, "strengths", low=0.0, open_low=True) for c in strengths})
    if not grid:
        raise InvalidArgumentError("strengths is empty; give at least one value")
    rows = checked_rows(array, train, "embeddings")
    for keep in (val, test):
        for start in range(0, len(keep), _ROWS):
            checked_rows(array, keep[start : start + _ROWS], "embeddings")
    mean, deviation = np.zeros(array.shape[1]), np.ones(array.shape[1])
    if standardize:
        mean, deviation = rows.mean(axis=0), rows.std(axis=0)
        deviation[deviation == 0.0] = 1.0
    # Back to the embeddings' own units, so that no copy of them is scaled.
    models = [
        LogisticModel(
            model.weights / deviation[:, np.newaxis],
            model.bias - np.einsum("i,ij->j", mean / deviation, model.weights),
            model.classes,
        )
        for model in fit_strengths((rows - mean) / deviation, classes[train], grid, _TOLERANCE)
    ]
    accuracies = [_accuracy(model, array, classes, val) for model in models]
    # The first of equal ones: the smaller strength.
    best = int(np.argmax(accuracies))
    accuracy = _accuracy(models[best], array, classes, test)
    return ProbeResult(accuracy, accuracies[best], grid[best])
