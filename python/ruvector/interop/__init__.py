"""Ruvector inside other packages, one module a package; each imports what it is named after."""

__all__: list[str] = []
