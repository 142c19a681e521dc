"""Read a tree of Python sources into definitions and the references between them.

Nothing is imported or run: every file is parsed with `ast`, once, into scopes that remember which
dotted names they mention; the names are resolved when all files have been read.

Nodes are the public modules, classes, functions and methods. Modules are nodes because they tie
functions that neither call nor are called: without them one function in six would be isolated.
What is private has no node of its own:

- its code counts for the nearest public thing around it;
- who refers to it refers to what it refers to in turn (`logging.Logger.info` reaches
  `logging.Logger.handle` by way of ``_log``);
- a definition in a private module takes the name of the public module that re-exports it
  (``_pydatetime.datetime`` is `datetime.datetime`), a method of a private base class that of a
  public subclass (`argparse.ArgumentParser.add_argument`).
"""

from __future__ import annotations

import ast
import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .resolver import Resolver
from .scopes import Reader, Scope

__all__ = ["Library", "read_library", "source_files"]

_log = logging.getLogger(__name__)

# Not the library but its tests, its applications, jokes that print, what pip installs beside it;
# and below, the hundred codecs in `encodings`, which a script generated from one template.
_SKIPPED_NAMES = """
    test tests idlelib lib2to3 turtledemo site-packages dist-packages pydoc_data _bundled
    __pycache__ __phello__ __hello__ this antigravity
"""
_SKIPPED = frozenset(_SKIPPED_NAMES.split())
_GENERATED = re.compile(r"encodings/(?!__init__)|_sysconfigdata")


class Library(NamedTuple):
    """Public definitions of a source tree, ordered by name.

    Attributes
    ----------
    names : list of str
        Dotted names, ascending, no two the same.
    kinds : list of str
        "module", "class", "function" or "method".
    docs : list of str
        First paragraph of the docstring on one line, "" where there is none.
    code : list of Counter
        How often each identifier and short string stands in the node's own code: what belongs to
        other nodes is left out but for the names of direct members; docstrings are left out.
    edges : ndarray of int32, shape (edges, 2)
        Pairs of node numbers, the smaller first, ascending, no two the same.
    membership : ndarray of bool, shape (edges,)
        Whether the edge ties a definition to the class, module or package it stands in.
    aliases : dict of str to int
        Other public names of nodes: ``json.JSONEncoder`` of ``json.encoder.JSONEncoder``.
    """

    names: list[str]
    kinds: list[str]
    docs: list[str]
    code: list[Counter[str]]
    edges: npt.NDArray[np.int32]
    membership: npt.NDArray[np.bool_]
    aliases: dict[str, int]


def source_files(root: Path) -> list[Path]:
    """List the Python files of a library, tests, applications and installed packages left out.

    Parameters
    ----------
    root : Path
        Folder of top-level modules.

    Returns
    -------
    list of Path
        Files, ordered by path.
    """
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f.isidentifier() and f not in _SKIPPED]
        for name in files:
            path = Path(folder, name)
            if path.suffix == ".py" and path.stem not in _SKIPPED:
                found.append((path.relative_to(root).as_posix(), path))
    return [path for relative, path in sorted(found) if not _GENERATED.match(relative)]


def read_library(root: Path, *, progress: Callable[[int, int], None] | None = None) -> Library:
    """Read all sources under a folder.

    Parameters
    ----------
    root : Path
        Folder of top-level modules.
    progress : callable, optional
        Called with the steps done and their total, a step being a file, the last one the
        resolution of names.

    Returns
    -------
    Library
        Its nodes, edges and words, the same for the same sources.
    """
    modules: dict[str, Scope] = {}
    files = source_files(root)
    unread = 0
    for done, path in enumerate(files):
        if progress is not None:
            progress(done, len(files) + 1)
        parts = path.relative_to(root).with_suffix("").parts
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        module = Scope(name, "module", None, package=package)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old escapes in sources that are not ours
                tree = ast.parse(path.read_bytes())
            Reader(module).read(tree)
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            unread += 1
            _log.debug("%s: %s", path, error)
            continue
        modules[name] = module
    if unread:
        _log.warning("%d of %d files under %s could not be read", unread, len(files), root)
    if progress is not None:
        progress(len(files), len(files) + 1)
    library = _link(modules)
    if progress is not None:
        progress(len(files) + 1, len(files) + 1)
    return library


def _is_public(dotted: str) -> bool:
    return not any(part.startswith("_") for part in dotted.split("."))


def _depth(scope: Scope) -> tuple[int, str]:
    return scope.title.count("."), scope.title


def _name_tree(scope: Scope, title: str, home: Scope | None) -> None:
    scope.title, scope.home = title, home
    for name, member in scope.members.items():
        if not name.startswith("_") and not member.title:
            _name_tree(member, f"{title}.{name}", scope)


def _publish(modules: dict[str, Scope], resolver: Resolver) -> None:
    """Give every public scope its title, see the module's docstring for whose that is."""
    public = [module for name, module in modules.items() if _is_public(name)]
    for module in public:
        package = modules.get(module.name.rpartition(".")[0])
        _name_tree(module, module.name, package)

    # The best claim to a private module's definition: meant as one, under the name it was defined
    # with, from the module nearest to the top.
    claims = []
    for module in public:
        for meant, name, scope in resolver.offered(module):
            top = scope.parent is not None and scope.parent.kind == "module"
            if top and not scope.title and (meant or not module.exports_known):
                claims.append((not meant, name != scope.name, *_depth(module), name, scope))
    for *_, owner, name, scope in sorted(claims, key=lambda claim: claim[:-1]):
        if not scope.title:
            _name_tree(scope, f"{owner}.{name}", modules[owner])

    titled = [scope for module in modules.values() for scope in module.walk() if scope.title]
    for scope in sorted((s for s in titled if s.kind == "class"), key=_depth):
        _adopt(scope, scope, resolver, {scope})


def _adopt(child: Scope, scope: Scope, resolver: Resolver, seen: set[Scope]) -> None:
    """Title the public methods a class inherits from private bases as its own."""
    for base in resolver.bases(scope):
        if base.title or base in seen:
            continue
        seen.add(base)
        for name, member in base.members.items():
            if not name.startswith("_") and not member.title and name not in child.members:
                _name_tree(member, f"{child.title}.{name}", child)
        _adopt(child, base, resolver, seen)


def _nearest(scope: Scope | None) -> Scope | None:
    while scope is not None and not scope.title:
        scope = scope.parent
    return scope


def _link(modules: dict[str, Scope]) -> Library:
    """Resolve references and number what is public."""
    resolver = Resolver(modules)
    _publish(modules, resolver)
    scopes = [scope for module in modules.values() for scope in module.walk()]
    # Where two scopes have one title (a function named as its submodule), they are one node.
    first: dict[str, Scope] = {}
    for scope in scopes:
        if scope.title:
            first.setdefault(scope.title, scope)
    names = sorted(first)
    number = {name: index for index, name in enumerate(names)}
    docs = [first[name].doc for name in names]
    code: list[Counter[str]] = [Counter() for _ in names]
    members: list[tuple[int, int]] = []
    mentions: list[tuple[int, int]] = []
    referred = {
        scope: [resolver.resolve(chain, scope.module) for chain in scope.references]
        for scope in scopes
    }
    for scope in scopes:
        owner = _nearest(scope)
        if owner is None:
            continue
        node = number[owner.title]
        code[node].update(scope.words)
        docs[node] = docs[node] or (scope.doc if scope is owner else "")
        if scope is owner and scope.home is not None and scope.home.title:
            members.append((number[scope.home.title], node))
        mentions += ((node, number[target.title]) for target in _targets(scope, referred))
    edges, membership = _edges(members, mentions)
    kinds = [first[name].kind for name in names]
    aliases = _aliases(modules, resolver, number)
    return Library(names, kinds, docs, code, edges, membership, aliases)


def _targets(
    scope: Scope, referred: dict[Scope, list[tuple[Scope | None, bool]]]
) -> Iterator[Scope]:
    """Public scopes that the references fall to, those of private helpers on the way included.

    ``os.environ`` leads to a module and no further: that the module is used is known from its
    import, and one more edge for each use would only make hubs. An unknown attribute of a class
    falls to the class, and so does a private method, but not a private function to its module.
    """
    seen = {scope}
    waiting = [scope]
    while waiting:
        for target, complete in referred[waiting.pop()]:
            if target is None:
                continue
            if target.is_private and target not in seen:
                seen.add(target)
                waiting.append(target)
            owner = _nearest(target)
            whole = complete and owner is target
            if owner is not None and (owner.kind != "module" or whole):
                yield owner


def _edges(
    members: Iterable[tuple[int, int]], mentions: Iterable[tuple[int, int]]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    held = {(min(pair), max(pair)) for pair in members}
    pairs = sorted(p for p in held.union((min(m), max(m)) for m in mentions) if p[0] != p[1])
    edges = np.array(pairs, np.int32).reshape(-1, 2)
    return edges, np.array([pair in held for pair in pairs], np.bool_)


def _aliases(
    modules: dict[str, Scope], resolver: Resolver, number: dict[str, int]
) -> dict[str, int]:
    """Names a module lists in __all__, or a package has when it lists none."""
    aliases = {}
    for module in modules.values():
        for meant, name, scope in resolver.offered(module) if module.title else ():
            alias = f"{module.title}.{name}"
            unlisted = module.package and not module.exports_known
            if (meant or unlisted) and scope.title and alias not in number:
                aliases[alias] = number[scope.title]
    return aliases
