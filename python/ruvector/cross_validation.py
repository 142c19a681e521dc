"""How well a linear classifier reads labels off embeddings, by cross-validation."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_labels, check_real
from ruvector.errors import InvalidArgumentError
from ruvector.probe import (
    STRENGTHS,
    Doubles,
    LogisticModel,
    check_classes,
    checked_rows,
    fit_strengths,
)

__all__ = ["cross_validated_accuracy"]


def cross_validated_accuracy(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    folds: npt.ArrayLike,
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> npt.NDArray[np.float64]:
    """Accuracy of a linear classifier on each fold, fitted to the others.

    Which penalty a fold is judged with is chosen within the other folds: these are put together
    to three parts at most, each part is predicted from the rest, and the strength with the most
    right answers, the smallest of equal ones, is fitted to all of them.

    Parameters
    ----------
    embeddings : (n, d) array
        Finite; one row a graph, or whatever is classified. Taken as they are.
    labels : (n,) integers
        Classes; rows with -1 are left out.
    folds : (n,) integers
        Three or more different numbers, the fold of each row.
    strengths : sequence of float
        scikit-learn's ``C``.

    Returns
    -------
    ndarray of shape (number of folds,), float64
        In the order of the folds' numbers.

    Raises
    ------
    InvalidArgumentError
        Wrong shapes, NaN or infinity, fewer than three folds, training rows of one class.

    Notes
    -----
    Nothing is drawn at random. Four times the cost of `logistic_regression` for each strength and
    fold.

    References
    ----------
    Stone (1974), Cross-validatory choice and assessment of statistical predictions.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector import cross_validated_accuracy
    >>> embeddings = np.repeat(np.eye(2), 6, axis=0)
    >>> cross_validated_accuracy(embeddings, np.repeat([0, 1], 6), np.arange(12) % 3)
    array([1., 1., 1.])
    """
    array = as_floats(embeddings, "embeddings")
    classes = as_labels(labels, "labels", count=len(array))
    known = np.flatnonzero(classes != -1)
    number = as_labels(folds, "folds", count=len(array))[known]
    rows, classes = checked_rows(array, known, "embeddings"), classes[known]
    names = np.unique(number)
    if len(names) < 3:
        raise InvalidArgumentError(
            f"folds has {len(names)} different numbers but needs three or more: one to judge, two "
            "to choose the penalty by"
        )
    grid = sorted({check_real(c, "strengths", low=0.0, open_low=True) for c in strengths})
    if not grid:
        raise InvalidArgumentError("strengths is empty; give at least one value")
    accuracies = np.empty(len(names))
    for at, name in enumerate(names):
        inside = np.flatnonzero(number != name)
        parts = np.searchsorted(names[names != name], number[inside]) % 3
        right = np.zeros(len(grid), np.int64)
        for part in np.unique(parts):
            fitted, judged = inside[parts != part], inside[parts == part]
            check_classes(classes[fitted], "folds: a training part")
            for i, model in enumerate(fit_strengths(rows[fitted], classes[fitted], grid, 1e-5)):
                right[i] += _right(model, rows[judged], classes[judged])
        best = grid[int(np.argmax(right))]
        model = fit_strengths(rows[inside], classes[inside], [best], 1e-7)[0]
        outside = np.flatnonzero(number == name)
        accuracies[at] = _right(model, rows[outside], classes[outside]) / len(outside)
    return accuracies


def _right(model: LogisticModel, rows: Doubles, labels: npt.NDArray[np.int64]) -> int:
    return int((model.classes[(rows @ model.weights + model.bias).argmax(axis=1)] == labels).sum())
