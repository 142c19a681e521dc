"""A small tree of modules, with a case for every rule by which the library becomes a graph."""

import textwrap

import numpy as np
from ruvector.demo import cache as cache_module

TREE = {
    "kitchen/__init__.py": '''
        """Zyzzyva of pots."""
        from .pots import *
        from .pans import Pan, fry as sear
        from . import pots

        __all__ = ["Pan", "Pot", "sear"]

        def cook(food):
            """Cook the xylograph.

            Second paragraph.
            """
            """A loose wombatology."""
            return Pan().heat(food)
    ''',
    "kitchen/pots.py": '''
        import abc
        from stove import Burner

        __all__ = ["Pot"]

        class Vessel:
            """What holds food."""

            def fill(self, food): ...
            def empty(self): ...

        class Pot(Vessel):
            lid = None

            def __init__(self, burner: Burner = None):
                self.burner = burner
                self.timer = Timer()

            def boil(self, food):
                self.fill(food)
                self.timer.start()
                return super().empty()

            def simmer(self):
                return self._slowly()

            def _slowly(self):
                return scrub(self)

            @property
            def warm(self): return 1

            @warm.setter
            def warm(self, value): self.boil(value)

            class Handle:
                def grip(self): ...

        class Timer:
            def start(self): ...

        def scrub(pot: "Pot"):
            def inner(boil):
                return boil
            return inner

        def unlisted(): ...
    ''',
    "kitchen/pans.py": """
        import stove as fire, os.path
        from _smithy import Forged

        class Pan(Forged):
            @fire.lit
            def heat(self, food) -> fire.Burner:
                with fire.Burner() as burner:
                    burner.turn(food)
                return os.path.join("a long sentence that is told to people", "oilcan", food)

        def fry(food):
            from kitchen.pots import Pot as P
            pot = P()
            pot.boil(food)
            return [pot for pot in food if pot.fill]

        _shared = Pan()
        griddle = _shared.heat
    """,
    "stove.py": """
        try:
            from _stove import Burner
        except ImportError:
            class Burner:
                def turn(self, knob): ...

        def lit(function):
            return _light(function)

        def _light(function):
            return _strike() or match

        def _strike():
            return match

        def match(): ...

        if True:
            def vent(): ...
        else:
            def vent(): return match()
    """,
    "_smithy.py": '''
        """Private module."""

        class _Hammered:
            def polish(self): ...

        class Forged(_Hammered):
            def temper(self): return self.polish()
    ''',
    "forge.py": """
        from _smithy import *
    """,
    "guise.py": """
        import _disguised
        import sys
        sys.modules[__name__] = _disguised
    """,
    "_disguised.py": "def appear(): ...\n",
    "os.py": """
        import sys
        import posixpath as path
        __all__ = ["path"]
        environ = {}
    """,
    "posixpath.py": "def join(a, *p): ...\n",
    "broken.py": "def (:\n",
    "_private.py": "def hidden(): ...\n",
    "test/test_pots.py": "def never(): ...\n",
    "kitchen/tests/test_pans.py": "def never(): ...\n",
    "site-packages/other.py": "def never(): ...\n",
    "encodings/__init__.py": "def search(): ...\n",
    "encodings/cp1.py": "def never(): ...\n",
}


def write_tree(root, tree=TREE):
    for name, source in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
    return root


def stand_in(monkeypatch, root, cache):
    """Put a tree in the place of the standard library, with a cache of its own."""
    monkeypatch.setattr(cache_module.sysconfig, "get_path", lambda _: str(root))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def check_edges(edges, nodes):
    assert edges.dtype == np.int32
    assert edges.shape[1] == 2
    assert (edges[:, 0] < edges[:, 1]).all()
    assert edges.min() >= 0
    assert edges.max() < nodes
    flat = edges[:, 0].astype(np.int64) * nodes + edges[:, 1]
    assert (np.diff(flat) > 0).all()
