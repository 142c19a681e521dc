"""Words of identifiers and prose, and their hashed columns."""

import os
import subprocess
import sys
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from ruvector.demo.words import count_words, hash_rows, hash_text, split_words, stem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parse_http_date", ("pars", "http", "dat")),
        ("parseHTTPDate", ("pars", "http", "dat")),
        ("JSONEncoder", ("json", "encoder")),
        ("b64encode", ("b64", "encod")),
        ("base64.md5", ("base64", "md5")),
        ("PyUnicode_UTF8", ("py", "unicod", "utf8")),
        ("the date of a string", ("dat", "string")),
        ("self.x", ()),
        ("", ()),
        ("é†", ()),
    ],
)
def test_text_is_split_at_underscores_capitals_and_dots(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    "forms",
    [
        ("parse", "parses", "parsed", "parsing"),
        ("stop", "stops", "stopped", "stopping"),
        ("entry", "entries"),
        ("box", "boxes"),
        ("match", "matches", "matching"),
        ("call", "calls", "called", "calling"),
        ("pass", "passes", "passing"),
    ],
)
def test_forms_of_a_word_share_a_stem(forms):
    assert len({stem(form) for form in forms}) == 1


@pytest.mark.parametrize("word", ["string", "class", "status", "thing", "this", "red", "os"])
def test_words_that_only_look_inflected_stay(word):
    assert stem(word) == word


def test_date_and_data_stay_apart():
    assert stem("dates") != stem("data")


def test_the_name_counts_for_more_than_the_enclosing_names_and_those_for_more_than_code():
    counts = count_words("shelf.Box.open", {"lid": 1, "hinge": 2})
    assert counts["open"] > counts["shelf"] == counts["box"] > counts["hing"] > counts["lid"]


def test_rows_are_tf_idf_of_length_one():
    documents = [{"ant": 1.0, "bee": 3.0}, {"ant": 2.0}, {"cow": 1.0, "bee": 1.0}, {}]
    rows, idf = hash_rows(documents, width=64)
    column = {word: zlib.crc32(word.encode()) % 64 for word in ("ant", "bee", "cow")}
    assert len(set(column.values())) == 3

    expected = np.zeros((4, 64))
    weight = {"ant": np.log(5 / 3), "bee": np.log(5 / 3), "cow": np.log(5 / 2)}
    for row, document in zip(expected, documents, strict=True):
        for word, count in document.items():
            row[column[word]] = np.log(1 + count) * weight[word]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True).clip(1e-9)

    dense = np.zeros(rows.shape)
    dense[np.repeat(np.arange(4), np.diff(rows.indptr)), rows.indices] = rows.data
    assert_allclose(dense, expected, rtol=1e-6)
    assert_allclose([idf[column[word]] for word in weight], list(weight.values()), rtol=1e-6)
    assert np.count_nonzero(idf) == 3


def test_rows_have_sorted_columns_and_the_stated_types():
    documents = [{f"word{j}": 1.0 for j in range(i, 40)} for i in range(40)]
    rows, idf = hash_rows(documents, width=128)
    kinds = (rows.indptr.dtype, rows.indices.dtype, rows.data.dtype, idf.dtype)
    assert kinds == (np.int64, np.int32, np.float32, np.float32)
    for start, end in zip(rows.indptr, rows.indptr[1:], strict=False):
        assert (np.diff(rows.indices[start:end]) > 0).all()


def test_words_that_share_a_column_are_added():
    rows, _ = hash_rows([{"ant": 1.0, "bee": 1.0}, {}], width=1)
    assert_array_equal(rows.indptr, [0, 1, 1])


def test_a_query_lies_in_the_space_of_the_rows():
    documents = [count_words("pot.boil_egg", {}), count_words("pan.fry_fish", {})]
    rows, idf = hash_rows(documents, width=256)
    query = hash_text("boiling eggs in a pot", idf=idf)
    dense = np.zeros(rows.shape, np.float32)
    dense[np.repeat(np.arange(2), np.diff(rows.indptr)), rows.indices] = rows.data
    assert query.dtype == np.float32
    assert query.shape == (256,)
    assert np.linalg.norm(query) == pytest.approx(1, abs=1e-6)
    assert (dense @ query)[0] > 0.9
    assert (dense @ query)[1] == 0


@pytest.mark.parametrize("text", ["", "the of a", "quixotic"])
def test_a_query_without_known_words_is_zero(text):
    _, idf = hash_rows([{"ant": 1.0}, {}], width=1 << 16)
    assert not hash_text(text, idf=idf).any()


def test_no_documents_make_no_rows():
    rows, idf = hash_rows([], width=8)
    assert rows.shape == (0, 8)
    assert_array_equal(rows.indptr, [0])
    assert not idf.any()


def test_columns_do_not_depend_on_the_hash_seed():
    script = (
        "from ruvector.demo.words import hash_rows, count_words as c\n"
        "rows, idf = hash_rows([c('a.bee', {'cow': 2, 'dog_egg': 1}), c('fly', {})], width=7)\n"
        "print(rows.indices.tobytes().hex(), rows.data.tobytes().hex(), idf.tobytes().hex())\n"
    )
    outputs = {_run(script, seed) for seed in ("0", "1", "2")}
    assert len(outputs) == 1


def _run(script, seed):
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    ).stdout
