"""The vector store of LlamaIndex; the framework ships no suite, so its index is what asks."""

import copy
import pickle

import pytest
from ruvector.errors import InvalidArgumentError

pytest.importorskip("llama_index.core", reason="no llama-index-core: make test-frameworks")
core = pytest.importorskip("llama_index.core")
schema = pytest.importorskip("llama_index.core.schema")
types = pytest.importorskip("llama_index.core.vector_stores.types")
base = pytest.importorskip("llama_index.core.base.embeddings.base")
bridge = pytest.importorskip("ruvector.interop.llama_index")
Query, RuvectorVectorStore = types.VectorStoreQuery, bridge.RuvectorVectorStore


class Numbers(base.BaseEmbedding):
    """A text of numbers is a vector."""

    def _get_text_embedding(self, text):
        return [float(word) for word in text.split()]

    def _get_query_embedding(self, query):
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


def node(key, vector, *, document="one", **metadata):
    related = {schema.NodeRelationship.SOURCE: schema.RelatedNodeInfo(node_id=document)}
    return schema.TextNode(
        id_=key, text=key, embedding=vector, metadata=metadata, relationships=related
    )


@pytest.fixture
def store():
    made = RuvectorVectorStore()
    vectors = {"a": [1.0, 0.0], "b": [0.9, 0.1], "c": [0.0, 1.0]}
    nodes = [node(key, v, n=n, document="two" if n else "one") for n, (key, v) in
             enumerate(vectors.items())]  # fmt: skip
    assert made.add(nodes) == ["a", "b", "c"]
    return made


def filters(key, value, operator="=="):
    one = types.MetadataFilter(key=key, value=value, operator=types.FilterOperator(operator))
    return types.MetadataFilters(filters=[one])


def test_the_nearest_come_first(store):
    found = store.query(Query([1.0, 0.0], similarity_top_k=3))
    assert found.ids == ["a", "b", "c"]
    assert found.similarities == pytest.approx([1, 0.993884, 0], abs=1e-6)
    assert [one.get_content() for one in found.nodes] == ["a", "b", "c"]
    assert [one.metadata["n"] for one in found.nodes] == [0, 1, 2]
    assert {one.ref_doc_id for one in found.nodes} == {"one", "two"}


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        ({"filters": filters("n", 1, ">=")}, ["b", "c"]),
        ({"filters": filters("n", 5)}, []),
        ({"node_ids": ["c", "none"]}, ["c"]),
        ({"doc_ids": ["one"]}, ["a"]),
        ({"doc_ids": ["two"], "filters": filters("n", 2, "!=")}, ["b"]),
    ],
)
def test_filters_choose_before_the_search(store, asked, want):
    assert store.query(Query([1.0, 0.0], similarity_top_k=2, **asked)).ids == want


def test_nodes_come_and_go(store):
    assert [one.node_id for one in store.get_nodes(["b", "c"], filters("n", 2))] == ["c"]
    store.add([node("a", [0.0, 1.0], n=7)])
    assert store.query(Query([1.0, 0.0])).ids == ["b"]
    store.delete("two")
    assert [one.node_id for one in store.get_nodes()] == ["a"]
    store.delete_nodes(filters=filters("n", 8))
    assert len(store.get_nodes()) == 1
    store.delete_nodes(["a"])
    assert store.query(Query([1.0, 0.0])).ids == []
    store.add([node("z", [1.0, 1.0])])
    store.clear()
    assert store.get_nodes() == []
    assert len(store.client) == 0


def test_an_index_asks_it(tmp_path):
    store = RuvectorVectorStore(metric="l2", m=8)
    context = core.StorageContext.from_defaults(vector_store=store)
    texts = [schema.TextNode(id_=text, text=text) for text in ("1 0", "0 1", "3 3")]
    index = core.VectorStoreIndex(texts, storage_context=context, embed_model=Numbers())
    found = index.as_retriever(similarity_top_k=2).retrieve("2 3")
    assert [(one.node.get_content(), one.score) for one in found] == [("3 3", -1), ("0 1", -8)]
    context.persist(tmp_path)
    path = tmp_path / "default__vector_store.json"
    again = core.VectorStoreIndex.from_vector_store(
        RuvectorVectorStore.from_persist_path(path), embed_model=Numbers()
    )
    (best,) = again.as_retriever(similarity_top_k=1).retrieve("3 3")
    assert (best.node.get_content(), best.score) == ("3 3", 0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))])
def test_copies_hold_the_nodes(copied):
    store = RuvectorVectorStore(metric="l2", m=8)
    store.add([node("a", [1.0, 0.0], n=0), node("b", [0.0, 1.0], n=1)])
    again = copied(store)
    store.clear()
    assert [one.node_id for one in again.get_nodes(filters=filters("n", 1))] == ["b"]
    found = again.query(Query([0.0, 2.0], similarity_top_k=2))
    assert (found.ids, found.similarities) == (["b", "a"], [-1, -5])
    assert (again.stores_text, again.client.m) == (True, 8)


def test_what_does_not_pickle_is_an_error_and_no_empty_store():
    store = RuvectorVectorStore()
    store.add([node("a", [1.0, 0.0])])
    store._store.records["a"]["extra"] = lambda: None
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(store)


def test_refusals(store):
    with pytest.raises(InvalidArgumentError, match="mode"):
        store.query(Query([1.0, 0.0], mode=types.VectorStoreQueryMode.SPARSE))
    with pytest.raises(InvalidArgumentError, match="no embedding"):
        store.query(Query(query_str="words"))
    with pytest.raises(InvalidArgumentError):
        RuvectorVectorStore(metric="none")
