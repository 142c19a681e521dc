"""A vector store of LlamaIndex."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import (
    build_metadata_filter_fn,
    metadata_dict_to_node,
    node_to_metadata_dict,
)
from pydantic import BaseModel, PrivateAttr

from ruvector.errors import InvalidArgumentError
from ruvector.index import HNSW
from ruvector.interop._keyed import KeyedIndex

__all__ = ["RuvectorVectorStore"]


class RuvectorVectorStore(BasePydanticVectorStore):
    """Nodes whose embeddings an :class:`ruvector.HNSW` index finds.

    Needs llama-index-core (extra ``llama-index``).

    Parameters
    ----------
    metric : {"cosine", "l2", "ip"}
    **options
        Of the index, such as ``m`` or ``storage``.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option that the index refuses.

    Notes
    -----
    Nodes are kept with their texts, so ``VectorStoreIndex.from_vector_store`` needs nothing else.
    A similarity is larger where a node is nearer: the cosine, the inner product, or the squared
    distance below 0. The mode of a query must be the default one.

    Examples
    --------
    >>> from llama_index.core.schema import TextNode
    >>> from llama_index.core.vector_stores.types import VectorStoreQuery
    >>> from ruvector.interop.llama_index import RuvectorVectorStore
    >>> store = RuvectorVectorStore()
    >>> store.add([TextNode(id_="r", text="red", embedding=[1.0, 0.0])])
    ['r']
    >>> store.query(VectorStoreQuery([1.0, 0.1])).ids
    ['r']
    """

    stores_text: bool = True
    flat_metadata: bool = False
    _store: KeyedIndex = PrivateAttr()

    def __init__(self, *, metric: str = "cosine", **options: Any) -> None:
        super().__init__(stores_text=True)
        self._store = KeyedIndex(metric=metric, **options)

    # LlamaIndex's own leave out what does not pickle, and make the rest anew from public fields.
    def __getstate__(self) -> dict[Any, Any]:
        state: dict[Any, Any] = BaseModel.__getstate__(self)
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        BaseModel.__setstate__(self, state)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex knows the class by."""
        return "RuvectorVectorStore"

    @property
    def client(self) -> HNSW | None:
        """The index; None before the first nodes."""
        return self._store.index

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes with their embeddings, replacing those of the same ids; return the ids."""
        del kwargs
        ids = [node.node_id for node in nodes]
        if nodes:
            vectors = [node.get_embedding() for node in nodes]
            self._store.put(ids, vectors, [node_to_metadata_dict(node) for node in nodes])
        return ids

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Return the nodes with these ids that the filters let through."""
        fits = self._fits(node_ids, filters)
        records = list(self._store.records.items())
        return [_node(record) for key, record in records if fits(key, record)]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove the nodes of a document."""
        del delete_kwargs
        records = list(self._store.records.items())
        self._store.drop([key for key, record in records if record["ref_doc_id"] == ref_doc_id])

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Remove the nodes with these ids that the filters let through."""
        del delete_kwargs
        fits = self._fits(node_ids, filters)
        records = list(self._store.records.items())
        self._store.drop([key for key, record in records if fits(key, record)])

    def clear(self) -> None:
        """Remove all nodes."""
        self._store.drop(list(self._store.records))

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nodes nearest to the query's embedding.

        Raises
        ------
        InvalidArgumentError
            A mode other than the default one, or no embedding.
        """
        del kwargs
        if query.mode != VectorStoreQueryMode.DEFAULT:
            raise InvalidArgumentError(f"the mode {query.mode!r} is not here, only the default")
        if query.query_embedding is None:
            raise InvalidArgumentError("the query has no embedding; this store takes no words")
        chosen: Callable[[str, Any], bool] | None = None
        # LlamaIndex's own retriever says with an empty list that any node will do.
        if query.node_ids or query.doc_ids or query.filters is not None:
            fits, documents = self._fits(query.node_ids or None, query.filters), query.doc_ids

            def where(key: str, record: Any) -> bool:
                of_document = not documents or record["ref_doc_id"] in documents
                return of_document and fits(key, record)

            chosen = where
        found = self._store.search(query.query_embedding, query.similarity_top_k, where=chosen)
        cosine = self._store.options["metric"] == "cosine"
        return VectorStoreQueryResult(
            nodes=[_node(hit.record) for hit in found],
            similarities=[1 - hit.distance if cosine else -hit.distance for hit in found],
            ids=[hit.key for hit in found],
        )

    def _fits(
        self, node_ids: list[str] | None, filters: MetadataFilters | None
    ) -> Callable[[str, Any], bool]:
        ids = None if node_ids is None else set(node_ids)
        let_through = build_metadata_filter_fn(lambda key: self._store.records[key], filters)
        return lambda key, _: (ids is None or key in ids) and bool(let_through(key))

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Write the store to a folder, which a `StorageContext` gives the name of a file.

        Raises
        ------
        InvalidArgumentError
            A file system other than the machine's own.
        """
        if fs is not None and "file" not in getattr(fs, "protocol", ()):
            raise InvalidArgumentError("fs is remote; this store is written to local folders")
        self._store.save(os.fspath(persist_path))

    @classmethod
    def from_persist_path(cls, persist_path: str, fs: Any = None) -> RuvectorVectorStore:
        """Read what :meth:`persist` wrote.

        Raises
        ------
        FileNotFoundError, CorruptFileError
            There is no whole store.
        """
        del fs
        made = cls()
        made._store = KeyedIndex.load(persist_path)
        return made


def _node(record: Mapping[str, Any]) -> BaseNode:
    return metadata_dict_to_node(dict(record))
