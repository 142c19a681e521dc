"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest
import ruvector

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(ruvector.__path__, "ruvector.")
    if module.name.rpartition(".")[2] not in ("__main__", "_core")
)


@pytest.fixture(autouse=True)
def _away_from_the_users_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def load(name):
    """Import a module; skip where the package that an integration is for is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = (error.name or "ruvector").partition(".")[0]
        if package == "ruvector" or not name.startswith("ruvector.interop."):
            raise
        target = "test-torch" if package.startswith("torch") else "test-frameworks"
        pytest.skip(f"no {package}: make {target}")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_hold(name):
    outcome = doctest.testmod(load(name), raise_on_error=False)
    assert outcome.failed == 0


@pytest.mark.parametrize("name", sorted(set(ruvector.__all__) - {"__version__"}))
def test_every_public_name_is_documented(name):
    assert (getattr(ruvector, name).__doc__ or "").strip()
    assert name in dir(ruvector)


def test_what_is_not_there_is_told():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ruvector.nothing  # noqa: B018
