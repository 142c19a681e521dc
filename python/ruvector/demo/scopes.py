"""One source file as scopes that remember which dotted names they mention."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Chain", "Reader", "Scope"]

# Strings up to this length are keys, modes, option names and format codes and count as code. What
# is longer is mostly prose for people, and prose would tell the held-out docstrings by the back
# door, as messages and help texts repeat them.
_SHORT = 24

# A dotted name as it was written: ("os", "path", "join"). The first element may be "@" and a
# module's full name; "()" stands for a call, "^" for the step from a class to its bases.
Chain = tuple[str, ...]


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class or function, with what its own code says."""

    name: str
    kind: str
    parent: Scope | None
    package: bool = False
    doc: str = ""
    members: dict[str, Scope] = field(default_factory=dict)
    # Imports and assignments, in order: the first that resolves is taken, since sources fall back
    # from the fast module to the Python one, or from one platform to another.
    bindings: dict[str, list[Chain]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    exported: list[str] = field(default_factory=list)
    exports_known: bool | None = None  # False if part of __all__ has to be run, None without one
    bases: list[Chain] = field(default_factory=list)
    references: dict[Chain, None] = field(default_factory=dict)
    words: Counter[str] = field(default_factory=Counter)
    # Public name and the scope it stands in under that name; `_publish` fills them.
    title: str = ""
    home: Scope | None = None

    @property
    def module(self) -> Scope:
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    @property
    def path(self) -> Chain:
        return () if self.parent is None else (*self.parent.path, self.name)

    @property
    def is_private(self) -> bool:
        """Whether it is a helper: neither a node, nor a module, nor the class under a dunder."""
        return not (self.title or self.kind == "module" or self.name.endswith("__"))

    def walk(self) -> Iterator[Scope]:
        yield self
        for member in self.members.values():
            yield from member.walk()


class Reader(ast.NodeVisitor):
    """Fill a module's scopes from its syntax tree, in the order of the source.

    `scope` is credited with words and references; `block` is the module or class whose names are
    being defined; `local` maps the names of a function to what they are known to hold, and is
    None outside functions.
    """

    def __init__(self, module: Scope) -> None:
        self.module = module
        self.scope = module
        self.block = module
        self.local: dict[str, Chain | None] | None = None

    def read(self, tree: ast.Module) -> None:
        self.module.doc = _first_paragraph(tree)
        self.generic_visit(tree)

    def chain(self, node: ast.AST | None) -> Chain | None:
        """Return what an expression names, None if only running it would tell."""
        if isinstance(node, ast.Name):
            return self.name_chain(node.id)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return self.chain(node.values[-1])  # given or Default()
        inner: Chain | None = None
        step = ""
        if isinstance(node, ast.Attribute):
            inner, step = self.chain(node.value), node.attr
        elif isinstance(node, ast.Call):
            if not (isinstance(node.func, ast.Name) and node.func.id == "super"):
                inner, step = self.chain(node.func), "()"
            elif self.block.kind == "class":
                inner, step = self.block.path, "^"
        return None if inner is None else (*inner, step)

    def name_chain(self, name: str) -> Chain | None:
        if self.local is not None:
            return self.local.get(name, (name,))
        block = self.block
        return (*block.path, name) if name in block.members or name in block.bindings else (name,)

    def bind(self, name: str, chain: Chain | None) -> None:
        if self.local is not None:
            self.local[name] = chain
        elif chain is not None:
            self.block.bindings.setdefault(name, []).append(chain)

    def define(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Scope:
        """Open the scope of a definition; a setter or a second platform's version shares it."""
        scope = self.block.members.get(node.name)
        if scope is None:
            is_class = isinstance(node, ast.ClassDef)
            inside = "function" if self.block is self.module else "method"
            scope = Scope(node.name, "class" if is_class else inside, self.block)
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

    def parameters(self, node: ast.arguments) -> dict[str, Chain | None]:
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
        self, targets: list[ast.expr], value: ast.expr | None, declared: Chain | None = None
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

    def replace(self, target: ast.Subscript, chain: Chain | None) -> None:
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
