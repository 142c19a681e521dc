"""What stands between embeddings and a loss: decoder, discriminator and pooling, with gradients.

Each function of arrays has one beside it that takes the gradient of its result, such as a loss of
logits gives, and returns the gradients of its inputs. `FeatureReconstructionLoss`,
`DeepGraphInfomaxLoss` and `GraphClassificationLoss` do these steps inside; here they stand alone,
for losses of one's own.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, as_ids, check_choice, check_int
from ruvector.errors import InvalidArgumentError
from ruvector.linalg import matmul

__all__ = [
    "BilinearGradients",
    "LinearGradients",
    "bilinear",
    "bilinear_backward",
    "linear",
    "linear_backward",
    "pool",
    "pool_backward",
    "summary",
    "summary_backward",
]

Array = npt.NDArray[Any]
_POOLINGS = ("mean", "sum", "max")


class LinearGradients(NamedTuple):
    """Gradients of what :func:`linear` takes."""

    embeddings: Array
    weight: Array
    bias: Array


class BilinearGradients(NamedTuple):
    """Gradients of what :func:`bilinear` takes."""

    states: Array
    weight: Array
    summary: Array


def linear(
    embeddings: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike | None = None
) -> Array:
    """Decode embeddings linearly: ``embeddings @ weight + bias``.

    Parameters
    ----------
    embeddings : array_like of float, shape (n, d)
    weight : array_like of float, shape (d, f)
    bias : array_like of float, shape (f,), optional

    Returns
    -------
    ndarray, shape (n, f)
        Of the inputs' widest dtype.

    Raises
    ------
    InvalidArgumentError
        Shapes that do not fit together, NaN or infinity.
    InvalidTypeError
        Arrays of a wrong dtype.

    Notes
    -----
    2·n·d·f operations. Results do not depend on the number of threads.

    References
    ----------
    Wang, Pan, Long, Zhu and Jiang, "MGAE: Marginalized Graph Autoencoder for Graph Clustering",
    CIKM 2017. doi:10.1145/3132847.3132967

    Examples
    --------
    >>> from ruvector.heads import linear, linear_backward
    >>> linear([[1.0, 2.0]], [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], [0.0, 0.0, 1.0])
    array([[1., 2., 4.]])
    >>> linear_backward([[1.0, 0.0, 1.0]], [[1.0, 2.0]], [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]).bias
    array([1., 0., 1.])
    """
    named = {"embeddings": (embeddings, 2), "weight": (weight, 2)}
    if bias is not None:
        named["bias"] = (bias, 1)
    rows, decoder, *offset = _finite(named)
    _fits(decoder, "weight", (rows.shape[1], decoder.shape[1]), "embeddings", rows)
    answer = matmul(rows, decoder)
    if offset:
        _fits(offset[0], "bias", (decoder.shape[1],), "weight", decoder)
        answer += offset[0]
    return answer


def linear_backward(
    gradient: npt.ArrayLike, embeddings: npt.ArrayLike, weight: npt.ArrayLike
) -> LinearGradients:
    """Send a gradient of the decoder's answers back to what :func:`linear` takes.

    Parameters
    ----------
    gradient : array_like of float, shape (n, f)
        Of a loss to the answers.
    embeddings : array_like of float, shape (n, d)
    weight : array_like of float, shape (d, f)

    Returns
    -------
    LinearGradients
        ``embeddings, weight, bias`` of shapes (n, d), (d, f) and (f,), of the widest dtype.

    Raises
    ------
    InvalidArgumentError
        Shapes that do not fit together, NaN or infinity.
    InvalidTypeError
        Arrays of a wrong dtype.

    Notes
    -----
    4·n·d·f operations. Results do not depend on the number of threads.
    """
    slopes, rows, decoder = _finite(
        {"gradient": (gradient, 2), "embeddings": (embeddings, 2), "weight": (weight, 2)}
    )
    _fits(decoder, "weight", (rows.shape[1], decoder.shape[1]), "embeddings", rows)
    _fits(slopes, "gradient", (len(rows), decoder.shape[1]), "the answer", slopes)
    return LinearGradients(
        matmul(slopes, decoder, transpose_b=True),
        matmul(rows, slopes, transpose_a=True),
        slopes.sum(axis=0, dtype=np.float64).astype(slopes.dtype),
    )


def bilinear(states: npt.ArrayLike, weight: npt.ArrayLike, summary: npt.ArrayLike) -> Array:
    """Score states against a summary: the logit ``hᵀ W s`` of each state h.

    Parameters
    ----------
    states : array_like of float, shape (n, d)
    weight : array_like of float, shape (d, k)
    summary : array_like of float, shape (k,)
        Such as :func:`summary` of the states.

    Returns
    -------
    ndarray, shape (n,)
        Of the inputs' widest dtype.

    Raises
    ------
    InvalidArgumentError
        Shapes that do not fit together, NaN or infinity.
    InvalidTypeError
        Arrays of a wrong dtype.

    Notes
    -----
    2·(n + k)·d operations. Results do not depend on the number of threads.

    References
    ----------
    Veličković, Fedus, Hamilton, Liò, Bengio and Hjelm, "Deep Graph Infomax", ICLR 2019.
    arXiv:1809.10341

    Examples
    --------
    >>> from ruvector.heads import bilinear
    >>> bilinear([[1.0, 0.0], [1.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]], [1.0, 1.0])
    array([2., 5.])
    """
    rows, matrix, vector = _discriminator(states, weight, summary)
    return matmul(rows, matmul(matrix, vector[:, None]))[:, 0]


def bilinear_backward(
    gradient: npt.ArrayLike, states: npt.ArrayLike, weight: npt.ArrayLike, summary: npt.ArrayLike
) -> BilinearGradients:
    """Send a gradient of the logits back to what :func:`bilinear` takes.

    Parameters
    ----------
    gradient : array_like of float, shape (n,)
        Of a loss to the logits.
    states : array_like of float, shape (n, d)
    weight : array_like of float, shape (d, k)
    summary : array_like of float, shape (k,)

    Returns
    -------
    BilinearGradients
        ``states, weight, summary``, each of its input's shape and the widest dtype. A summary made
        of the states sends its own gradient on by :func:`summary_backward`.

    Raises
    ------
    InvalidArgumentError
        Shapes that do not fit together, NaN or infinity.
    InvalidTypeError
        Arrays of a wrong dtype.

    Notes
    -----
    O(n·d + d·k). Results do not depend on the number of threads.
    """
    rows, matrix, vector = _discriminator(states, weight, summary)
    (slopes,) = _finite({"gradient": (gradient, 1)})
    _fits(slopes, "gradient", (len(rows),), "states", rows)
    dtype = np.result_type(slopes, rows)
    rows, matrix, vector, slopes = (
        array.astype(dtype, copy=False) for array in (rows, matrix, vector, slopes)
    )
    along = matmul(rows, slopes[:, None], transpose_a=True)
    return BilinearGradients(
        slopes[:, None] * matmul(matrix, vector[:, None])[:, 0],
        along * vector,
        matmul(matrix, along, transpose_a=True)[:, 0],
    )


def summary(states: npt.ArrayLike) -> Array:
    """Summarise a graph by ``sigmoid(mean of its states)``, Deep Graph Infomax's readout.

    Parameters
    ----------
    states : array_like of float, shape (n, d)

    Returns
    -------
    ndarray, shape (d,)
        Of the states' dtype; 0.5 everywhere where there are none.

    Raises
    ------
    InvalidArgumentError
        Another number of dimensions, no columns, NaN or infinity.
    InvalidTypeError
        An array of a wrong dtype.

    Notes
    -----
    O(n·d), summed in float64.

    References
    ----------
    Veličković, Fedus, Hamilton, Liò, Bengio and Hjelm, "Deep Graph Infomax", ICLR 2019.
    arXiv:1809.10341

    Examples
    --------
    >>> from ruvector.heads import summary
    >>> summary([[1.0, 0.0], [-1.0, 0.0]])
    array([0.5, 0.5])
    """
    (rows,) = _finite({"states": (states, 2)})
    return _readout(rows).astype(rows.dtype)


def summary_backward(gradient: npt.ArrayLike, states: npt.ArrayLike) -> Array:
    """Send a gradient of the summary back to the states.

    Parameters
    ----------
    gradient : array_like of float, shape (d,)
    states : array_like of float, shape (n, d)

    Returns
    -------
    ndarray, shape (n, d)
        Of the widest dtype; all rows are equal.

    Raises
    ------
    InvalidArgumentError
        Shapes that do not fit together, NaN or infinity.
    InvalidTypeError
        Arrays of a wrong dtype.

    Notes
    -----
    O(n·d).
    """
    slopes, rows = _finite({"gradient": (gradient, 1), "states": (states, 2)})
    _fits(slopes, "gradient", (rows.shape[1],), "states", rows)
    readout = _readout(rows)
    each = slopes * readout * (1 - readout) / max(len(rows), 1)
    return np.tile(each.astype(rows.dtype), (len(rows), 1))


def pool(
    embeddings: npt.ArrayLike,
    graphs: npt.ArrayLike,
    *,
    count: int | None = None,
    pooling: Literal["mean", "sum", "max"] = "mean",
) -> Array:
    """Pool the rows of each graph's nodes into one.

    Parameters
    ----------
    embeddings : array_like of float, shape (n, d)
        Rows of the nodes of all graphs.
    graphs : array_like of int, shape (n,)
        Which graph each node belongs to, in any order.
    count : int, optional
        Number of graphs; by default one more than the largest of `graphs`.
    pooling : {"mean", "sum", "max"}, default "mean"
        What each column of a graph's nodes becomes.

    Returns
    -------
    ndarray, shape (count, d)
        Of the embeddings' dtype; zeros for a graph without nodes.

    Raises
    ------
    InvalidArgumentError
        Shapes that do not fit together, graphs out of range, NaN or infinity.
    InvalidTypeError
        Arrays of a wrong dtype.

    Notes
    -----
    O(n·d), summed in float64. Results do not depend on the number of threads.

    References
    ----------
    Xu, Hu, Leskovec and Jegelka, "How Powerful are Graph Neural Networks?", ICLR 2019.
    arXiv:1810.00826 (on what the poolings can tell apart)

    Examples
    --------
    >>> from ruvector.heads import pool, pool_backward
    >>> z = [[3.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    >>> pool(z, [0, 0, 1])
    array([[2. , 0.5],
           [0. , 1. ]])
    >>> pool_backward([[1.0, 1.0], [1.0, 1.0]], z, [0, 0, 1], pooling="max")
    array([[1., 0.],
           [0., 1.],
           [1., 1.]])
    """
    (rows,) = _finite({"embeddings": (embeddings, 2)})
    how = check_choice(pooling, "pooling", choices=_POOLINGS)
    numbers = as_ids(graphs, "graphs")
    if count is None:
        count = int(numbers.max(initial=-1)) + 1
    numbers = _membership(numbers, rows, check_int(count, "count", low=0, high=2**40))
    function = _core.pool_f64 if rows.dtype == np.float64 else _core.pool_f32
    return function(rows, numbers, int(count), how)


def pool_backward(
    gradient: npt.ArrayLike,
    embeddings: npt.ArrayLike,
    graphs: npt.ArrayLike,
    *,
    pooling: Literal["mean", "sum", "max"] = "mean",
) -> Array:
    """Send a gradient of the pooled rows back to the nodes.

    Parameters
    ----------
    gradient : array_like of float, shape (count, d)
        Of a loss to what :func:`pool` returned.
    embeddings : array_like of float, shape (n, d)
    graphs : array_like of int, shape (n,)
    pooling : {"mean", "sum", "max"}, default "mean"
        Where several nodes share the largest value the first gets the gradient.

    Returns
    -------
    ndarray, shape (n, d)
        Of the widest dtype.

    Raises
    ------
    InvalidArgumentError
        Shapes that do not fit together, graphs out of range, NaN or infinity.
    InvalidTypeError
        Arrays of a wrong dtype.

    Notes
    -----
    O(n·d). Results do not depend on the number of threads.
    """
    slopes, rows = _finite({"gradient": (gradient, 2), "embeddings": (embeddings, 2)})
    how = check_choice(pooling, "pooling", choices=_POOLINGS)
    numbers = _membership(as_ids(graphs, "graphs"), rows, len(slopes))
    _fits(slopes, "gradient", (len(slopes), rows.shape[1]), "embeddings", rows)
    function = _core.pool_spread_f64 if rows.dtype == np.float64 else _core.pool_spread_f32
    return function(slopes, rows, numbers, how)


def _finite(named: dict[str, tuple[npt.ArrayLike, int]]) -> list[Array]:
    """Return finite float arrays of the given numbers of dimensions, all of the widest dtype."""
    arrays = {name: as_floats(value, name, ndim=ndim) for name, (value, ndim) in named.items()}
    for name, array in arrays.items():
        if array.ndim == 2 and array.shape[1] == 0:
            raise InvalidArgumentError(f"{name} has shape {array.shape} but needs columns")
        finite = np.isfinite(array)
        if not finite.all():
            place = "row" if array.ndim == 2 else "position"
            row = int(np.argwhere(~finite)[0, 0])
            raise InvalidArgumentError(
                f"{name} has NaN or infinity in {place} {row}; remove or replace it"
            )
    dtype = np.result_type(*arrays.values())
    return [array.astype(dtype, copy=False) for array in arrays.values()]


def _fits(array: Array, name: str, shape: tuple[int, ...], other: str, given: Array) -> None:
    if array.shape != shape:
        beside = f"{other} has shape {given.shape}, which needs" if given is not array else "needs"
        raise InvalidArgumentError(f"{name} has shape {array.shape} but {beside} {shape}")


def _discriminator(
    states: npt.ArrayLike, weight: npt.ArrayLike, summary: npt.ArrayLike
) -> list[Array]:
    rows, matrix, vector = arrays = _finite(
        {"states": (states, 2), "weight": (weight, 2), "summary": (summary, 1)}
    )
    _fits(matrix, "weight", (rows.shape[1], matrix.shape[1]), "states", rows)
    _fits(vector, "summary", (matrix.shape[1],), "weight", matrix)
    return arrays


def _readout(rows: Array) -> npt.NDArray[np.float64]:
    means = rows.sum(axis=0, dtype=np.float64) / max(len(rows), 1)
    # tanh neither overflows nor loses what exp would.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * means), np.float64)


def _membership(numbers: npt.NDArray[np.int64], rows: Array, count: int) -> npt.NDArray[np.int64]:
    if len(numbers) != len(rows):
        raise InvalidArgumentError(
            f"graphs has {len(numbers)} entries but embeddings has {len(rows)} rows"
        )
    outside = (numbers < 0) | (numbers >= count)
    if outside.any():
        at = int(np.argmax(outside))
        raise InvalidArgumentError(
            f"graphs holds {numbers[at]} at position {at} but there are {count} graphs, 0 to "
            f"{count - 1}"
        )
    return numbers
