"""A vector store of LangChain."""

from __future__ import annotations

import copy
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.interop._keyed import Found, KeyedIndex, matching

__all__ = ["RuvectorStore"]

Choice = Callable[[Document], bool] | Mapping[str, Any]


class RuvectorStore(VectorStore):
    """Documents whose embeddings an :class:`ruvector.HNSW` index finds.

    Needs langchain-core (extra ``langchain``).

    Parameters
    ----------
    embedding : langchain_core.embeddings.Embeddings
        Makes vectors of texts and of queries.
    metric : {"cosine", "l2", "ip"}
    **options
        Of the index, such as ``m`` or ``storage``.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option that the index refuses.

    Notes
    -----
    Scores are the index's distances, smaller is nearer; ``similarity_search_with_relevance_scores``
    makes 0 to 1 of them. `filter` is a function of a document, or a mapping of metadata to be equal
    to; it is asked for every document, and the search then goes on until `k` of those it chose are
    found.

    Examples
    --------
    >>> from langchain_core.embeddings import DeterministicFakeEmbedding
    >>> from ruvector.interop.langchain import RuvectorStore
    >>> store = RuvectorStore(DeterministicFakeEmbedding(size=8))
    >>> store.add_texts(["red", "green"], [{"n": 1}, {"n": 2}], ids=["r", "g"])
    ['r', 'g']
    >>> store.similarity_search("green", k=1)[0].page_content
    'green'
    """

    def __init__(self, embedding: Embeddings, *, metric: str = "cosine", **options: Any) -> None:
        if not isinstance(embedding, Embeddings):
            raise InvalidTypeError(f"embedding is a {type(embedding).__name__}, no Embeddings")
        self._embedding = embedding
        self._store = KeyedIndex(metric=metric, **options)

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors of texts."""
        return self._embedding

    def __len__(self) -> int:
        return len(self._store)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and store texts, replacing those with the same ids; return the ids."""
        del kwargs
        given = list(texts)
        for name, values in (("metadatas", metadatas), ("ids", ids)):
            if values is not None and len(values) != len(given):
                raise InvalidArgumentError(
                    f"{name} has {len(values)} entries but there are {len(given)} texts"
                )
        keys = [id_ or str(uuid.uuid4()) for id_ in (ids or [None] * len(given))]
        records = [
            {"text": text, "metadata": copy.deepcopy(metadata or {})}
            for text, metadata in zip(given, metadatas or [{}] * len(given), strict=True)
        ]
        if given:
            self._store.put(keys, self._embedding.embed_documents(given), records)
        return keys

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Remove documents, all without `ids`; ids that are not there are passed over."""
        del kwargs
        self._store.drop(list(self._store.records) if ids is None else ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids, as far as they are there."""
        records = self._store.records
        return [_document(id_, records[id_]) for id_ in ids if id_ in records]

    def similarity_search_with_score_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        filter: Choice | None = None,  # noqa: A002 - LangChain's name
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """Return the documents nearest to a vector, with their distances."""
        del kwargs
        return [
            (_document(hit.key, hit.record), hit.distance)
            for hit in self._found(embedding, k, filter)
        ]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the documents nearest to a query, with their distances."""
        vector = self._embedding.embed_query(query)
        return self.similarity_search_with_score_by_vector(vector, k, **kwargs)

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the documents nearest to a query."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the documents nearest to a vector."""
        found = self.similarity_search_with_score_by_vector(embedding, k, **kwargs)
        return [document for document, _ in found]

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Choice | None = None,  # noqa: A002 - LangChain's name
        **kwargs: Any,
    ) -> list[Document]:
        """Return documents that are near a vector and unlike each other."""
        del kwargs
        hits = self._found(embedding, fetch_k, filter)
        vectors = self._store.vectors([hit.key for hit in hits])
        # Another thread may have removed some since they were found.
        there = [(hit, row) for hit, row in zip(hits, vectors, strict=True) if row is not None]
        rows: list[Any] = [row for _, row in there]
        chosen = maximal_marginal_relevance(
            np.asarray(embedding, np.float32), rows, k=k, lambda_mult=lambda_mult
        )
        return [_document(there[i][0].key, there[i][0].record) for i in chosen]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return documents that are near a query and unlike each other."""
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, **kwargs
        )

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        metric = self._store.options["metric"]
        if metric == "l2":
            return lambda distance: 1.0 / (1.0 + distance)
        if metric == "ip":
            raise InvalidArgumentError(
                "inner products have no bounds to make a relevance from; use scores, or cosine"
            )
        return lambda distance: 1.0 - distance / 2.0

    def _found(self, vector: Sequence[float], k: int, choice: Choice | None) -> list[Found]:
        if choice is None:
            return self._store.search(vector, k)
        if isinstance(choice, Mapping):
            fits = matching(choice)
            return self._store.search(vector, k, where=lambda _, record: fits(record["metadata"]))
        return self._store.search(
            vector, k, where=lambda key, record: choice(_document(key, record))
        )

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> RuvectorStore:
        """Return a store of these texts; other arguments are those of the class."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the store to a folder; metadata must be plain JSON values."""
        self._store.save(folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], embedding: Embeddings) -> RuvectorStore:
        """Read what :meth:`save` wrote; embeddings are not part of it.

        Raises
        ------
        FileNotFoundError, CorruptFileError
            There is no whole store.
        """
        store = cls(embedding)
        store._store = KeyedIndex.load(folder)
        return store


def _document(key: str, record: Mapping[str, Any]) -> Document:
    return Document(id=key, page_content=record["text"], metadata=copy.deepcopy(record["metadata"]))
