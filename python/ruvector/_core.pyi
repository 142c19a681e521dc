"""What the compiled module offers. Documentation lives with the Python names that wrap it."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_I32: TypeAlias = npt.NDArray[np.int32]
_I64: TypeAlias = npt.NDArray[np.int64]
_F32: TypeAlias = npt.NDArray[np.float32]
_F64: TypeAlias = npt.NDArray[np.float64]

__version__: str

# runtime
def set_num_threads(num_threads: int) -> None: ...
def get_num_threads() -> int: ...
def simd_level() -> str: ...
def simd_levels() -> list[str]: ...

# graph
def csr_check(indptr: _I64, indices: _I32, cols: int) -> None: ...
def csr_matmul_f32(
    indptr: _I64,
    indices: _I32,
    data: _F32 | None,
    cols: int,
    dense: _F32,
    row_scale: _F32 | None = None,
) -> _F32: ...
def csr_matmul_f64(
    indptr: _I64,
    indices: _I32,
    data: _F64 | None,
    cols: int,
    dense: _F64,
    row_scale: _F64 | None = None,
) -> _F64: ...
def csr_transpose_f32(
    indptr: _I64, indices: _I32, data: _F32 | None, cols: int
) -> tuple[_I64, _I32, _F32 | None]: ...
def csr_transpose_f64(
    indptr: _I64, indices: _I32, data: _F64 | None, cols: int
) -> tuple[_I64, _I32, _F64 | None]: ...
