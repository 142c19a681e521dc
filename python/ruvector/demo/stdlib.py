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
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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

# Strings up to this length are keys, modes, option names and format codes and count as code. What
# is longer is mostly prose for people, and prose would tell the held-out docstrings by the back
# door, as messages and help texts repeat them.
_SHORT = 24

# A dotted name as it was written: ("os", "path", "join"). The first element may be "@" and a
# module's full name; "()" stands for a call, "^" for the step from a class to its bases.
_Chain = tuple[str, ...]


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


@dataclass(eq=False, slots=True)
class _Scope:
    """A module, class or function, with what its own code says."""

    name: str
    kind: str
    parent: _Scope | None
    package: bool = False
    doc: str = ""
    members: dict[str, _Scope] = field(default_factory=dict)
    # Imports and assignments, in order: the first that resolves is taken, since sources fall back
    # from the fast module to the Python one, or from one platform to another.
    bindings: dict[str, list[_Chain]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    exported: list[str] = field(default_factory=list)
    exports_known: bool | None = None  # False if part of __all__ has to be run, None without one
    bases: list[_Chain] = field(default_factory=list)
    references: dict[_Chain, None] = field(default_factory=dict)
    words: Counter[str] = field(default_factory=Counter)
    # Public name and the scope it stands in under that name; `_publish` fills them.
    title: str = ""
    home: _Scope | None = None

    @property
    def module(self) -> _Scope:
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    @property
    def path(self) -> _Chain:
        return () if self.parent is None else (*self.parent.path, self.name)

    @property
    def is_private(self) -> bool:
        """Whether it is a helper: neither a node, nor a module, nor the class under a dunder."""
        return not (self.title or self.kind == "module" or self.name.endswith("__"))

    def walk(self) -> Iterator[_Scope]:
        yield self
        for member in self.members.values():
            yield from member.walk()


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
    modules: dict[str, _Scope] = {}
    files = source_files(root)
    unread = 0
    for done, path in enumerate(files):
        if progress is not None:
            progress(done, len(files) + 1)
        parts = path.relative_to(root).with_suffix("").parts
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        module = _Scope(name, "module", None, package=package)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old escapes in sources that are not ours
                tree = ast.parse(path.read_bytes())
            _Reader(module).read(tree)
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


class _Reader(ast.NodeVisitor):
    """Fill a module's scopes from its syntax tree, in the order of the source.

    `scope` is credited with words and references; `block` is the module or class whose names are
    being defined; `local` maps the names of a function to what they are known to hold, and is
    None outside functions.
    """

    def __init__(self, module: _Scope) -> None:
        self.module = module
        self.scope = module
        self.block = module
        self.local: dict[str, _Chain | None] | None = None

    def read(self, tree: ast.Module) -> None:
        self.module.doc = _first_paragraph(tree)
        self.generic_visit(tree)

    def chain(self, node: ast.AST | None) -> _Chain | None:
        """Return what an expression names, None if only running it would tell."""
        if isinstance(node, ast.Name):
            return self.name_chain(node.id)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return self.chain(node.values[-1])  # given or Default()
        inner: _Chain | None = None
        if isinstance(node, ast.Attribute):
            inner, step = self.chain(node.value), node.attr
        elif isinstance(node, ast.Call):
            if not (isinstance(node.func, ast.Name) and node.func.id == "super"):
                inner, step = self.chain(node.func), "()"
            elif self.block.kind == "class":
                inner, step = self.block.path, "^"
        return None if inner is None else (*inner, step)

    def name_chain(self, name: str) -> _Chain | None:
        if self.local is not None:
            return self.local.get(name, (name,))
        block = self.block
        return (*block.path, name) if name in block.members or name in block.bindings else (name,)

    def bind(self, name: str, chain: _Chain | None) -> None:
        if self.local is not None:
            self.local[name] = chain
        elif chain is not None:
            self.block.bindings.setdefault(name, []).append(chain)

    def define(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> _Scope:
        """Open the scope of a definition; a setter or a second platform's version shares it."""
        scope = self.block.members.get(node.name)
        if scope is None:
            is_class = isinstance(node, ast.ClassDef)
            inside = "function" if self.block is self.module else "method"
            scope = _Scope(node.name, "class" if is_class else inside, self.block)
            self.block.members[node.name] = scope
        scope.doc = scope.doc or _first_paragraph(node)
        return scope

    # Definitions

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.scope.words[node.name] += 1
        if self.local is not None:  # part of the function that makes it
            self.local[node.name] = None
            self.generic_visit(node)
            return
        outer, block = self.scope, self.block
        bases = [chain for chain in map(self.chain, node.bases) if chain is not None]
        self.scope = self.define(node)
        self.scope.bases += bases
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self.block = self.scope
        for statement in node.body:
            self.visit(statement)
        self.scope, self.block = outer, block

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.scope.words[node.name] += 1
        outer, around = self.scope, self.local
        if around is None:
            self.scope = self.define(node)
        else:
            around[node.name] = None
        for decorator in node.decorator_list:
            self.visit(decorator)
        self.visit_annotation(node.returns)
        local = self.parameters(node.args)
        static = any(self.chain(d) == ("staticmethod",) for d in node.decorator_list)
        first = [*node.args.posonlyargs, *node.args.args][:1]
        if around is None and self.block.kind == "class" and first and not static:
            local[first[0].arg] = self.block.path
        self.local = local
        for statement in node.body:
            self.visit(statement)
        self.scope, self.local = outer, around

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        around = self.local
        self.local = self.parameters(node.args)
        self.visit(node.body)
        self.local = around

    def parameters(self, node: ast.arguments) -> dict[str, _Chain | None]:
        """Visit defaults and annotations; return the names of a function's body at its start."""
        local = dict(self.local or {})
        for default in (*node.defaults, *node.kw_defaults):
            if default is not None:
                self.visit(default)
        every = [*node.posonlyargs, *node.args, *node.kwonlyargs, node.vararg, node.kwarg]
        for parameter in every:
            if parameter is not None:
                self.scope.words[parameter.arg] += 1
                self.visit_annotation(parameter.annotation)
                local[parameter.arg] = self.chain(parameter.annotation)
        return local

    def visit_annotation(self, node: ast.AST | None) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval")
            except (SyntaxError, ValueError):
                return
        if node is not None:
            self.visit(node)

    # Names

    def visit_Name(self, node: ast.Name) -> None:
        self.scope.words[node.id] += 1
        if isinstance(node.ctx, ast.Load):
            chain = self.chain(node)
            if chain is not None:
                self.scope.references[chain] = None
        else:
            self.bind(node.id, None)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain = self.chain(node)
        if chain is not None:
            self.scope.references[chain] = None
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            self.scope.words[inner.attr] += 1
            inner = inner.value
        if isinstance(inner, ast.Name):
            self.scope.words[inner.id] += 1  # the chain refers to more than its first name
        else:
            self.visit(inner)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg is not None:
            self.scope.words[node.arg] += 1
        self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and len(node.value) <= _SHORT:
            self.scope.words[node.value] += 1

    def visit_Expr(self, node: ast.Expr) -> None:
        # A string that stands alone is a docstring, of a function or by habit of an attribute.
        if not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
            self.visit(node.value)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self.comprehend(node.generators, node.elt)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self.comprehend(node.generators, node.elt)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self.comprehend(node.generators, node.elt)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self.comprehend(node.generators, node.key, node.value)

    def comprehend(self, generators: list[ast.comprehension], *results: ast.expr) -> None:
        """Visit the loops first: the results stand before the names they use."""
        around = self.local
        self.local = dict(around or {})
        for generator in generators:
            self.visit(generator.iter)
            self.visit(generator.target)
            for condition in generator.ifs:
                self.visit(condition)
        for result in results:
            self.visit(result)
        self.local = around

    # Bindings

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.scope.words[alias.name] += 1
            self.scope.references["@" + alias.name,] = None
            if alias.asname is None:
                top = alias.name.partition(".")[0]
                self.bind(top, ("@" + top,))
            else:
                self.bind(alias.asname, ("@" + alias.name,))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        source = node.module or ""
        if node.level:
            around = self.module.name.split(".")
            around = around[: len(around) - node.level + self.module.package]
            source = ".".join([*around, source] if source else around)
        self.scope.references["@" + source,] = None
        for alias in node.names:
            if alias.name == "*":
                self.module.stars.append(source)
                continue
            self.scope.words[alias.name] += 1
            chain = ("@" + source, alias.name)
            self.scope.references[chain] = None
            self.bind(alias.asname or alias.name, chain)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.assign(node.targets, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self.visit(node.target)
        if isinstance(node.target, ast.Name) and node.target.id == "__all__":
            self.export(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit_annotation(node.annotation)
        self.assign([node.target], node.value, self.chain(node.annotation))

    def visit_withitem(self, node: ast.withitem) -> None:
        # Entering mostly returns the manager itself.
        targets = [] if node.optional_vars is None else [node.optional_vars]
        self.assign(targets, node.context_expr)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name is not None:
            self.bind(node.name, None)
        for statement in node.body:
            self.visit(statement)

    def assign(
        self, targets: list[ast.expr], value: ast.expr | None, declared: _Chain | None = None
    ) -> None:
        for target in targets:
            if "__doc__" in (getattr(target, "id", ""), getattr(target, "attr", "")):
                return
        if value is not None:
            self.visit(value)
        chain = declared or self.chain(value)
        for target in targets:
            self.visit(target)
            if isinstance(target, ast.Name):
                self.bind(target.id, chain)
                if target.id == "__all__" and value is not None:
                    self.export(value)
            elif isinstance(target, ast.Subscript):
                self.replace(target, chain)
            elif (
                isinstance(target, ast.Attribute)
                and self.block.kind == "class"
                and chain is not None
                and self.chain(target.value) == self.block.path
            ):
                self.block.bindings.setdefault(target.attr, []).append(chain)

    def replace(self, target: ast.Subscript, chain: _Chain | None) -> None:
        """Take ``sys.modules[__name__] = other`` for what it offers: all names of the other."""
        own = isinstance(target.slice, ast.Name) and target.slice.id == "__name__"
        if own and self.chain(target.value) == ("sys", "modules") and chain is not None:
            for head, *rest in self.module.bindings.get(chain[0], ()):
                if not rest and head.startswith("@") and len(chain) == 1:
                    self.module.stars.append(head[1:])

    def export(self, value: ast.expr) -> None:
        literal = isinstance(value, (ast.List, ast.Tuple))
        self.module.exports_known = literal and self.module.exports_known is not False
        for item in ast.walk(value):
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                self.module.exported.append(item.value)


def _first_paragraph(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> str:
    doc = ast.get_docstring(node) or ""
    return " ".join(re.split(r"\n\s*\n", doc.strip(), maxsplit=1)[0].split())


class _Resolver:
    """Follow dotted names through imports, re-exports, assignments and base classes."""

    def __init__(self, modules: dict[str, _Scope]) -> None:
        self.modules = modules
        self.found: dict[tuple[_Scope, str], _Scope | None] = {}

    def resolve(self, chain: _Chain, module: _Scope) -> tuple[_Scope | None, bool]:
        """Return the scope a name leads to, as far as it leads, and whether that is all of it."""
        head, *steps = chain
        scope: _Scope | None
        if not head.startswith("@"):
            scope = self.bound(module, head)
        elif head[1:] in self.modules:
            scope = self.modules[head[1:]]
        else:  # os.path, a module that only an attribute leads to
            top, *attributes = head[1:].split(".")
            scope = self.modules.get(top)
            steps = attributes + steps
        if scope is None:
            return None, False
        upwards = False
        for step in steps:
            if step == "^":
                upwards = True
            elif step == "()":
                if scope.kind != "class":
                    return scope, False
            else:
                inner = self.inherited(scope, step) if upwards else self.attribute(scope, step)
                if inner is None:
                    return scope, False
                scope, upwards = inner, False
        return scope, True

    def attribute(self, scope: _Scope, name: str) -> _Scope | None:
        found = self.bound(scope, name)
        if found is None and scope.kind == "module":
            return self.modules.get(f"{scope.name}.{name}")
        return found

    def bound(self, scope: _Scope, name: str) -> _Scope | None:
        key = (scope, name)
        if key not in self.found:
            self.found[key] = None  # ends the chase of names that lead back to themselves
            self.found[key] = self.search(scope, name)
        return self.found[key]

    def search(self, scope: _Scope, name: str) -> _Scope | None:
        if name in scope.members:
            return scope.members[name]
        for chain in scope.bindings.get(name, ()):
            found, complete = self.resolve(chain, scope.module)
            if complete:
                return found
        for source in reversed(scope.stars):
            module = self.modules.get(source)
            if module is not None and self.lets_out(module, name):
                found = self.bound(module, name)
                if found is not None:
                    return found
        return self.inherited(scope, name)

    def inherited(self, scope: _Scope, name: str) -> _Scope | None:
        for base in self.bases(scope):
            found = self.bound(base, name)
            if found is not None:
                return found
        return None

    def bases(self, scope: _Scope) -> Iterator[_Scope]:
        for chain in scope.bases:
            base, complete = self.resolve(chain, scope.module)
            if base is not None and complete and base.kind == "class" and base is not scope:
                yield base

    @staticmethod
    def lets_out(module: _Scope, name: str) -> bool:
        """Whether a star import takes the name."""
        if name in module.exported:
            return True
        return not module.exports_known and not name.startswith("_")

    def starred(self, module: _Scope, seen: frozenset[str] = frozenset()) -> set[str]:
        """Public names that a module has by star imports."""
        names: set[str] = set()
        for source in module.stars:
            inner = self.modules.get(source)
            if inner is not None and source not in seen:
                every = self.starred(inner, seen | {module.name}).union(
                    inner.members, inner.bindings
                )
                names.update(n for n in every if n[0] != "_" and self.lets_out(inner, n))
        return names

    def offered(self, module: _Scope) -> list[tuple[bool, str, _Scope]]:
        """Public names a module has by import or assignment, and whether it means to offer them.

        It does if it lists them in __all__, or if the list is not known and they came by a star.
        """
        starred = self.starred(module)
        offers = []
        # Sorted, since the order of questions decides where a chase in circles is cut.
        for name in sorted(starred.union(module.bindings).difference(module.members)):
            scope = None if name.startswith("_") else self.bound(module, name)
            if scope is not None:
                wholesale = name in starred and not module.exports_known
                offers.append((name in module.exported or wholesale, name, scope))
        return offers


def _is_public(dotted: str) -> bool:
    return not any(part.startswith("_") for part in dotted.split("."))


def _depth(scope: _Scope) -> tuple[int, str]:
    return scope.title.count("."), scope.title


def _name_tree(scope: _Scope, title: str, home: _Scope | None) -> None:
    scope.title, scope.home = title, home
    for name, member in scope.members.items():
        if not name.startswith("_") and not member.title:
            _name_tree(member, f"{title}.{name}", scope)


def _publish(modules: dict[str, _Scope], resolver: _Resolver) -> None:
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


def _adopt(child: _Scope, scope: _Scope, resolver: _Resolver, seen: set[_Scope]) -> None:
    """Title the public methods a class inherits from private bases as its own."""
    for base in resolver.bases(scope):
        if base.title or base in seen:
            continue
        seen.add(base)
        for name, member in base.members.items():
            if not name.startswith("_") and not member.title and name not in child.members:
                _name_tree(member, f"{child.title}.{name}", child)
        _adopt(child, base, resolver, seen)


def _nearest(scope: _Scope | None) -> _Scope | None:
    while scope is not None and not scope.title:
        scope = scope.parent
    return scope


def _link(modules: dict[str, _Scope]) -> Library:
    """Resolve references and number what is public."""
    resolver = _Resolver(modules)
    _publish(modules, resolver)
    scopes = [scope for module in modules.values() for scope in module.walk()]
    # Where two scopes have one title (a function named as its submodule), they are one node.
    first: dict[str, _Scope] = {}
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
    scope: _Scope, referred: dict[_Scope, list[tuple[_Scope | None, bool]]]
) -> Iterator[_Scope]:
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
    modules: dict[str, _Scope], resolver: _Resolver, number: dict[str, int]
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
