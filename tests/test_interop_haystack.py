"""The document store of Haystack, by Haystack's own suite and beyond it."""

import copy
import os
import pickle
from dataclasses import replace

import pytest
from ruvector.errors import CorruptFileError, InvalidArgumentError, InvalidTypeError

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
haystack = pytest.importorskip("haystack", reason="no haystack-ai: make test-frameworks")
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


def test_a_loaded_store_keeps_its_own_settings(tmp_path):
    filled(metric="l2", index={"m": 8, "seed": 5}).save(tmp_path)
    for options in (
        {},
        {"metric": "l2"},
        {"metric": "l2", "index": {"m": 8, "storage": "float32"}},
    ):
        store = RuvectorDocumentStore(path=tmp_path, **options)
        found = store.embedding_retrieval([0.0, 2.0], top_k=2)
        assert [document.id for document in found] == ["c", "b"]
        assert [document.score for document in found] == pytest.approx([-1, -4.42])
        assert store.to_dict()["init_parameters"] == {
            "metric": "l2", "index": {"m": 8, "seed": 5}, "path": str(tmp_path)
        }  # fmt: skip
        assert RuvectorDocumentStore.from_dict(store.to_dict()).count_documents() == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "cosine"}, "'cosine'} were given but the store in .* has {'metric': 'l2'}"),
        ({"index": {"m": 12}}, "{'m': 12} were given .* {'m': 16}"),
        (
            {"metric": "ip", "index": {"storage": "int8"}},
            "has {'storage': 'float32', 'metric': 'l2'}; leave them out",
        ),
    ],
)
def test_settings_other_than_the_loaded_store_s_are_refused(tmp_path, options, message):
    filled(metric="l2").save(tmp_path)
    with pytest.raises(InvalidArgumentError, match=message):
        RuvectorDocumentStore(path=tmp_path, **options)


def test_a_folder_without_a_store_is_where_it_will_be(tmp_path):
    store = filled(metric="l2", path=tmp_path)
    assert store.metric == "l2"
    store.save()
    assert RuvectorDocumentStore(path=tmp_path).count_documents() == 4
    for index in tmp_path.glob("index-*"):
        index.unlink()
    with pytest.raises(CorruptFileError):
        RuvectorDocumentStore(path=tmp_path)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))])
def test_copies_hold_the_documents(copied):
    again = copied(filled(metric="l2"))
    (one,) = again.embedding_retrieval([0.0, 2.0], top_k=1)
    assert (one.id, one.score, again.count_documents()) == ("c", -1.0, 4)


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
