"""Train embeddings on graphs and search them: NumPy in, NumPy out."""

from ruvector._core import __version__

__all__ = ["__version__"]
