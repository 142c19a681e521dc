"""The document store of Haystack, by Haystack's own suite and beyond it."""

import os
from dataclasses import replace

import pytest
from ruvector.errors import InvalidTypeError

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
haystack = pytest.importorskip("haystack", reason="no haystack-ai")
suite = pytest.importorskip("haystack.testing.document_store")
types = pytest.importorskip("haystack.document_stores.types")
errors = pytest.importorskip("haystack.document_stores.errors")
bridge = pytest.importorskip("ruvector.interop.haystack")
Document, RuvectorDocumentStore = haystack.Document, bridge.RuvectorDocumentStore


class TestStandard(suite.DocumentStoreBaseTests):
    @pytest.fixture
    def document_store(self):
        return RuvectorDocumentStore()

    def assert_documents_are_equal(self, received, expected):
        """Embeddings come back in float32, documents in the order in which they came."""
        assert len(received) == len(expected)
        for one, other in zip(
            sorted(received, key=lambda d: d.id), sorted(expected, key=lambda d: d.id), strict=True
        ):
            if other.embedding is None:
                assert one.embedding is None
            else:
                assert one.embedding == pytest.approx(other.embedding, rel=1e-6)
            assert replace(one, embedding=None) == replace(other, embedding=None)

    def test_write_documents(self, document_store):
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(errors.DuplicateDocumentError):
            document_store.write_documents([document])


def filled(**options):
    store = RuvectorDocumentStore(**options)
    vectors = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], None]
    store.write_documents(
        [
            Document(id=key, content=key, embedding=vector, meta={"n": n})
            for n, (key, vector) in enumerate(zip("abcd", vectors, strict=True))
        ]
    )
    return store


def test_the_nearest_come_first_with_their_scores():
    found = filled().embedding_retrieval([1.0, 0.0], top_k=3)
    assert [document.id for document in found] == ["a", "b", "c"]
    assert [document.score for document in found] == pytest.approx([1, 0.993884, 0], abs=1e-6)
    assert {document.embedding for document in found} == {None}
    (one,) = filled(metric="l2").embedding_retrieval([0.0, 2.0], top_k=1, return_embedding=True)
    assert (one.id, one.score, one.embedding) == ("c", -1.0, [0.0, 1.0])
    fits = {"field": "meta.n", "operator": ">=", "value": 1}
    found = filled().embedding_retrieval([1.0, 0.0], top_k=5, filters=fits)
    assert [document.id for document in found] == ["b", "c"]


def test_a_pipeline_asks_it_and_can_be_written_down(tmp_path):
    store = filled(index={"m": 8}, path=tmp_path / "store")
    pipeline = haystack.Pipeline()
    pipeline.add_component("find", bridge.RuvectorEmbeddingRetriever(store, top_k=1))
    store.save()
    again = haystack.Pipeline.from_dict(pipeline.to_dict(), allowed_modules=[bridge.__name__])
    for each in (pipeline, again):
        found = each.run({"find": {"query_embedding": [0.1, 1.0]}})["find"]["documents"]
        assert [document.id for document in found] == ["c"]
    loaded = again.get_component("find").document_store
    assert loaded.count_documents() == 4
    assert loaded.index == {"m": 8}


def test_a_policy_that_fails_writes_nothing():
    store = filled()
    fresh, old = Document(id="z", content="z"), Document(id="a", content="other")
    with pytest.raises(errors.DuplicateDocumentError):
        store.write_documents([fresh, old], policy=types.DuplicatePolicy.FAIL)
    assert store.count_documents() == 4
    assert store.write_documents([fresh, old], policy=types.DuplicatePolicy.SKIP) == 1
    assert store.write_documents([fresh, old], policy=types.DuplicatePolicy.OVERWRITE) == 2
    assert {d.id: d.content for d in store.filter_documents()}["a"] == "other"
    assert [d.id for d in store.embedding_retrieval([1.0, 0.0], top_k=1)] == ["b"]


def test_refusals():
    with pytest.raises(InvalidTypeError, match="name a folder"):
        RuvectorDocumentStore().save()
    with pytest.raises(InvalidTypeError, match="RuvectorDocumentStore"):
        bridge.RuvectorEmbeddingRetriever(object())
    with pytest.raises(ValueError, match="operator"):
        filled().filter_documents({"n": 1})
