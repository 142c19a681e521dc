"""Rows of a given length."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses._base import Array, Reduction
from ruvector.losses.rows import RowLoss

__all__ = ["NormLoss", "project_to_sphere"]


@dataclass(frozen=True)
class NormLoss(RowLoss):
    """Rows have a given Euclidean length: ``(‖z_i‖ - target)²`` a row [1]_.

    The gradient is ``2 (1 - target/‖z_i‖) z_i``, and 0 where z_i is. It does not keep rows from
    pointing all the same way.

    Parameters
    ----------
    target : float, default 1.0
        The length; at least 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        Over the rows.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    O(n·d); lengths are summed in float64. Results do not depend on the number of threads.

    References
    ----------
    .. [1] Zheng, Pal and Savvides, "Ring Loss: Convex Feature Normalization for Face Recognition",
       CVPR 2018. arXiv:1803.00130

    Examples
    --------
    >>> from ruvector.losses import NormLoss
    >>> NormLoss(target=1.0)([[3.0, 4.0], [0.0, 1.0]])
    8.0
    """

    name: ClassVar[str] = "norm"

    target: float = 1.0
    reduction: Reduction = "mean"


def project_to_sphere(
    rows: npt.ArrayLike, *, radius: float = 1.0, out: Array | None = None
) -> Array:
    """Scale rows to one length; rows of zeros stay zero.

    Parameters
    ----------
    rows : array_like of float, shape (n, d)
        float64 stays float64, anything else becomes float32.
    radius : float, default 1.0
        The length; above 0.
    out : ndarray, optional
        Array of the rows' shape and dtype for the result; may be `rows` itself.

    Returns
    -------
    ndarray, shape (n, d)
        `out` where given, else a fresh array.

    Raises
    ------
    InvalidArgumentError
        NaN or infinity, a radius that is not above 0, an `out` of another shape. `rows` has not
        changed then; what another `out` holds is undefined.
    InvalidTypeError
        Rows or `out` of a wrong dtype.

    Notes
    -----
    O(n·d). After each step of an optimiser this keeps embeddings on the sphere, which
    :class:`NormLoss` only asks for.

    References
    ----------
    Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere", ICML 2020. arXiv:2005.10242

    Examples
    --------
    >>> from ruvector.losses import project_to_sphere
    >>> project_to_sphere([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    array = as_floats(rows, "rows")
    length = check_real(radius, "radius", low=0.0, open_low=True)
    if length > float(np.finfo(array.dtype).max):
        raise InvalidArgumentError(f"radius is {length:g}, which does not fit {array.dtype}")
    if out is None:
        result: Array = array.copy()
    else:
        result = out
        if not isinstance(out, np.ndarray) or out.dtype != array.dtype:
            got = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
            raise InvalidTypeError(f"out is {got} but must be {array.dtype}")
        if out.shape != array.shape:
            raise InvalidArgumentError(f"out has shape {out.shape} but rows has {array.shape}")
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise InvalidArgumentError("out must be C-contiguous and writeable")
        if out is not rows:
            if np.may_share_memory(out, array):
                raise InvalidArgumentError("out overlaps rows; pass rows itself or other memory")
            np.copyto(out, array)
    double = array.dtype == np.float64
    project = _core.project_to_sphere_f64 if double else _core.project_to_sphere_f32
    project(result, length)
    return result
