"""ruvector without the float32 vectors."""

from . import ours


class Index(ours.Index):
    storage = "int8"
