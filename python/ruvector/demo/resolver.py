"""Which definition a dotted name means."""

from __future__ import annotations

from collections.abc import Iterator

from .scopes import Chain, Scope

__all__ = ["Resolver"]


class Resolver:
    """Follow dotted names through imports, re-exports, assignments and base classes."""

    def __init__(self, modules: dict[str, Scope]) -> None:
        self.modules = modules
        self.found: dict[tuple[Scope, str], Scope | None] = {}

    def resolve(self, chain: Chain, module: Scope) -> tuple[Scope | None, bool]:
        """Return the scope a name leads to, as far as it leads, and whether that is all of it."""
        head, *steps = chain
        scope: Scope | None
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

    def attribute(self, scope: Scope, name: str) -> Scope | None:
        found = self.bound(scope, name)
        if found is None and scope.kind == "module":
            return self.modules.get(f"{scope.name}.{name}")
        return found

    def bound(self, scope: Scope, name: str) -> Scope | None:
        key = (scope, name)
        if key not in self.found:
            self.found[key] = None  # ends the chase of names that lead back to themselves
            self.found[key] = self.search(scope, name)
        return self.found[key]

    def search(self, scope: Scope, name: str) -> Scope | None:
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

    def inherited(self, scope: Scope, name: str) -> Scope | None:
        for base in self.bases(scope):
            found = self.bound(base, name)
            if found is not None:
                return found
        return None

    def bases(self, scope: Scope) -> Iterator[Scope]:
        for chain in scope.bases:
            base, complete = self.resolve(chain, scope.module)
            if base is not None and complete and base.kind == "class" and base is not scope:
                yield base

    @staticmethod
    def lets_out(module: Scope, name: str) -> bool:
        """Whether a star import takes the name."""
        if name in module.exported:
            return True
        return not module.exports_known and not name.startswith("_")

    def starred(self, module: Scope, seen: frozenset[str] = frozenset()) -> set[str]:
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

    def offered(self, module: Scope) -> list[tuple[bool, str, Scope]]:
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
