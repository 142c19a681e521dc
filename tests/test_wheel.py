"""The check of wheels and source archives passes what is right and names what is wrong."""

import io
import tarfile
import zipfile

import pytest
from check_wheel import BESIDE, MAX_BYTES, release_problems, sdist_problems, wheel_problems

NAME = "ruvector-1.2.3-cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
PACKAGE = {"ruvector/__init__.py", "ruvector/py.typed", "ruvector/report/page.css"}
GOOD = {
    **dict.fromkeys(sorted(PACKAGE), ""),
    "ruvector/_core.abi3.so": "machine code",
    "ruvector-1.2.3.dist-info/RECORD": "sums",
    "ruvector-1.2.3.dist-info/WHEEL": "tags",
    "ruvector-1.2.3.dist-info/entry_points.txt": "a script",
    "ruvector-1.2.3.dist-info/licenses/LICENSE": "MIT",
    "ruvector-1.2.3.dist-info/METADATA": (
        "Metadata-Version: 2.4\nName: ruvector\nRequires-Dist: numpy>=1.26\n"
        "Requires-Dist: scipy>=1.11 ; extra == 'graph'\n\nWords.\n"
    ),
}
RELEASE = [
    NAME,
    "ruvector-1.2.3-cp310-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
    "ruvector-1.2.3-cp310-abi3-macosx_10_12_x86_64.whl",
    "ruvector-1.2.3-cp310-abi3-macosx_11_0_arm64.whl",
    "ruvector-1.2.3-cp310-abi3-win_amd64.whl",
    "ruvector-1.2.3.tar.gz",
]


@pytest.fixture
def problems(tmp_path):
    def of(members, name=NAME):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        return list(wheel_problems(path, PACKAGE))

    return of


def test_a_good_wheel_passes(problems):
    assert problems(GOOD) == []


@pytest.mark.parametrize("member", GOOD)
def test_each_member_is_needed(problems, member):
    (problem,) = problems({name: text for name, text in GOOD.items() if name != member})
    assert "lacks" in problem or "0 compiled modules" in problem


def test_a_wheel_for_one_python_is_refused(problems):
    assert problems(GOOD, NAME.replace("abi3", "cp310")) == ["is not tagged cp310-abi3"]


def test_a_large_wheel_is_refused(problems):
    (problem,) = problems(GOOD | {"ruvector/_core.abi3.so": bytes(MAX_BYTES)})
    assert "but may have 5,000,000" in problem


def test_a_second_requirement_is_refused(problems):
    metadata = GOOD["ruvector-1.2.3.dist-info/METADATA"].replace(" ; extra == 'graph'", "")
    (problem,) = problems(GOOD | {"ruvector-1.2.3.dist-info/METADATA": metadata})
    assert "may require numpy alone" in problem


def test_strangers_in_the_wheel_are_named(problems):
    strangers = {"ruvector/_core.abi3.so.old": "", "tests/test_x.py": ""}
    assert problems(GOOD | strangers) == [f"holds {name}" for name in strangers]


@pytest.mark.parametrize("wrong", ["nothing", "lacks", "holds"])
def test_sources_are_what_git_has(tmp_path, wrong):
    sources = {"rust/core/src/lib.rs", "python/ruvector/__init__.py"}
    names = sources | set(BESIDE)
    want = []
    if wrong != "nothing":
        want = [f"{wrong} ruvector-1.2.3/rust/core/src/lib.rs"]
        (names if wrong == "lacks" else sources).remove("rust/core/src/lib.rs")
    path = tmp_path / "ruvector-1.2.3.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in sorted(names):
            archive.addfile(tarfile.TarInfo(f"ruvector-1.2.3/{name}"), io.BytesIO())
    assert list(sdist_problems(path, sources)) == want


def test_a_release_is_one_of_each(tmp_path):
    for name in RELEASE:
        (tmp_path / name).touch()
    assert list(release_problems(tmp_path)) == []


@pytest.mark.parametrize("missing", RELEASE)
def test_a_missing_platform_is_named(tmp_path, missing):
    for name in RELEASE:
        if name != missing:
            (tmp_path / name).touch()
    (problem,) = release_problems(tmp_path)
    assert "holds nothing for" in problem


def test_a_second_wheel_for_a_platform_is_refused(tmp_path):
    for name in [*RELEASE, RELEASE[0].replace("1.2.3", "1.2.4"), "notes.txt"]:
        (tmp_path / name).touch()
    double, stranger = release_problems(tmp_path)
    assert "must hold one" in double
    assert stranger == "holds notes.txt, which is no part of a release"
