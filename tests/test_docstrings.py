"""Public docstrings have numpydoc's form, and name the parameters that there are."""

import importlib
import inspect
import pkgutil
import re

import pytest
import ruvector

validate = pytest.importorskip("numpydoc.validate", reason="no numpydoc: make docs").validate

# Blank lines, unknown or repeated sections, tabs, summaries that run on or do not end, parameters
# that are not there or are documented with a wrong type's form.
FORM = {
    "GL01", "GL03", "GL04", "GL05", "GL06", "GL09", "GL10", "SS01", "SS02", "SS03", "SS04", "SS06",
    "PR02", "PR05", "PR06", "PR09", "PR10", "RT02", "RT05",
}  # fmt: skip
PACKAGES = sorted({name.name.split(".")[1] for name in pkgutil.iter_modules(
    ruvector.__path__, "ruvector.")} - {"__main__", "_core", "cli", "interop"})  # fmt: skip
# Those of the other packages need more than the documentation does.
PACKAGES += ["interop.networkx", "interop.sklearn"]


def public(package):
    """Functions, classes and their own methods that a package exports."""
    module = importlib.import_module(f"ruvector.{package}")
    assert module.__all__
    for name in module.__all__:
        value = getattr(module, name)
        if not callable(value) or not hasattr(value, "__qualname__"):
            continue
        if not value.__module__.startswith("ruvector"):
            continue
        yield value
        if inspect.isclass(value):
            yield from (
                member
                for name, member in vars(value).items()
                if not name.startswith("_") and inspect.isfunction(member)
            )


def takes_anything(value):
    """Whether further parameters go by ``**options``, whose names another signature has."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except ValueError:
        return False
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def problems(value):
    found = validate(f"{value.__module__}.{value.__qualname__}")
    told = found["docstring"] or ""
    inherited = "".join(base.__doc__ or "" for base in getattr(value, "__mro__", ())[1:])
    for code, text in found["errors"]:
        if code in FORM and not (code == "PR02" and takes_anything(value)):
            yield f"{code} {text}"
        # Who documents some parameters documents all.
        if code == "PR01" and "\nParameters\n" in inspect.cleandoc(told):
            names = re.findall(r"'(\w+)'", text)
            yield from (f"{code} {name}" for name in names if name not in inherited)


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_have_the_form(package):
    found = {value.__qualname__: list(problems(value)) for value in public(package)}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_a_wrong_docstring_is_found():
    def wrong(a, b):
        """does a thing

        Parameters
        ----------
        c : int
            None.
        """
        return a, b

    module = importlib.import_module("ruvector.errors")
    wrong.__module__, wrong.__qualname__ = "ruvector.errors", "wrong"
    module.wrong = wrong
    try:
        codes = {problem.split()[0] for problem in problems(wrong)}
    finally:
        del module.wrong
    assert {"SS02", "SS03", "PR01", "PR02"} <= codes
