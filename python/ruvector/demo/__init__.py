"""Demo data that every Python carries: its standard library as a graph.

Eight or nine thousand public modules, classes, functions and methods, who refers to whom, the words
of their code as features, and their docstrings held out to be found.
"""

from .cache import StdlibGraph, load_stdlib
from .words import Csr

__all__ = ["Csr", "StdlibGraph", "load_stdlib"]
