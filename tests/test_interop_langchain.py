"""The vector store of LangChain, by LangChain's own suite and beyond it."""

import copy
import pickle

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError

pytest.importorskip("langchain_core", reason="no langchain-core: make test-frameworks")
suite = pytest.importorskip("langchain_tests.integration_tests", reason="no langchain-tests")
bridge = pytest.importorskip("ruvector.interop.langchain")
documents = pytest.importorskip("langchain_core.documents")
embeddings = pytest.importorskip("langchain_core.embeddings")
Document, RuvectorStore = documents.Document, bridge.RuvectorStore


class TestStandard(suite.VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        return RuvectorStore(self.get_embeddings())


class Numbers(embeddings.Embeddings):
    """A text of numbers is a vector."""

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        return [float(word) for word in text.split()]


TEXTS = ["1 0", "0.9 0.1", "0 1", "-1 0"]


def store(**options):
    metadatas = [{"n": i, "even": i % 2 == 0} for i in range(4)]
    return RuvectorStore.from_texts(TEXTS, Numbers(), metadatas, ids=list("abcd"), **options)


def test_scores_are_distances():
    found = store().similarity_search_with_score("1 0", k=4)
    assert [document.id for document, _ in found] == ["a", "b", "c", "d"]
    np.testing.assert_allclose([score for _, score in found], [0, 0.0061162, 1, 2], atol=1e-6)
    squared = store(metric="l2").similarity_search_with_score("1 0", k=2)
    assert squared[1][1] == pytest.approx(0.02)


def test_relevance_lies_between_0_and_1():
    for metric in ("cosine", "l2"):
        found = store(metric=metric).similarity_search_with_relevance_scores("1 0", k=4)
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == pytest.approx(1)
        assert all(0 <= score <= 1 for score in scores)
    with pytest.raises(InvalidArgumentError, match="no bounds"):
        store(metric="ip").similarity_search_with_relevance_scores("1 0")


@pytest.mark.parametrize(
    ("choice", "want"),
    [
        ({"even": True}, "ac"),
        ({"n": 3}, "d"),
        ({"none": 3}, ""),
        (lambda document: document.metadata["n"] > 1, "cd"),
        (lambda document: document.id == "b", "b"),
    ],
)
def test_filters_choose_before_the_search(choice, want):
    found = store().similarity_search("1 0", k=2, filter=choice)
    assert [document.id for document in found] == list(want)


def test_marginal_relevance_prefers_what_is_different():
    near = store().max_marginal_relevance_search("1 0", k=2, fetch_k=3, lambda_mult=1.0)
    unlike = store().max_marginal_relevance_search("1 0", k=2, fetch_k=3, lambda_mult=0.1)
    assert [document.id for document in near] == ["a", "b"]
    assert [document.id for document in unlike] == ["a", "c"]


def test_marginal_relevance_leaves_out_what_is_removed_meanwhile(monkeypatch):
    one = store()
    search = one._store.search

    def removes_what_it_found(*arguments, **options):
        hits = search(*arguments, **options)
        one.delete(["a"])
        return hits

    monkeypatch.setattr(one._store, "search", removes_what_it_found)
    found = one.max_marginal_relevance_search("1 0", k=2, fetch_k=3, lambda_mult=1.0)
    assert [document.id for document in found] == ["b", "c"]


def test_there_and_back(tmp_path):
    before = store(m=8)
    before.delete(["d", "none"])
    before.save(tmp_path)
    after = RuvectorStore.load(tmp_path, Numbers())
    assert len(after) == 3
    assert after.similarity_search("-1 0.1", k=4) == before.similarity_search("-1 0.1", k=4)
    after.add_texts(["-1 0"])
    assert len(after) == 4


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_hold_the_documents(copied):
    before = store(metric="l2")
    after = copied(before)
    before.delete()
    assert len(after) == 4
    (found,) = after.similarity_search_with_score("0 3", k=1)
    assert (found[0].id, found[1]) == ("c", 4)


def test_metadata_keys_that_are_no_strings_are_not_saved(tmp_path):
    one = RuvectorStore(Numbers())
    one.add_texts(["1 0"], [{1: "x", "1": "y"}])
    with pytest.raises(InvalidTypeError, match="its key 1 is no string"):
        one.save(tmp_path)


def test_a_retriever_asks_it():
    found = store().as_retriever(search_kwargs={"k": 1, "filter": {"n": 2}}).invoke("1 0")
    assert [document.page_content for document in found] == ["0 1"]


def test_metadata_are_copies():
    metadata = {"list": [1]}
    one = RuvectorStore.from_texts(["1 0"], Numbers(), [metadata], ids=["a"])
    metadata["list"].append(2)
    one.similarity_search("1 0")[0].metadata["list"].append(3)
    assert one.get_by_ids(["a"])[0].metadata == {"list": [1]}


def test_refusals():
    with pytest.raises(InvalidTypeError, match="Embeddings"):
        RuvectorStore(len)
    with pytest.raises(InvalidArgumentError, match="metadatas has 1"):
        store().add_texts(["1 0", "0 1"], [{}])
    with pytest.raises(InvalidArgumentError):
        store().add_texts(["1 0 0"])
    with pytest.raises(InvalidArgumentError):
        RuvectorStore(Numbers(), metric="none")
