"""A document store of Haystack, and the retriever that asks it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils.filters import document_matches_filter

from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.interop._keyed import KeyedIndex

__all__ = ["RuvectorDocumentStore", "RuvectorEmbeddingRetriever"]

Filters = dict[str, Any]


class RuvectorDocumentStore:
    """Documents in memory whose embeddings an :class:`ruvector.HNSW` index finds.

    Needs haystack-ai (extra ``haystack``).

    Parameters
    ----------
    metric : {"cosine", "l2", "ip"}, optional
        By default that of the store at `path`, or the cosine.
    index : dict, optional
        Options of the index, such as ``{"m": 32}``; by default those of the store at `path`.
    path : path, optional
        Folder that :meth:`save` wrote, or will write; read where there is a store in it. The
        dictionary of a pipeline holds the path, never the documents.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option that the index refuses, or that is another in the store at `path`.
    CorruptFileError
        The store at `path` is damaged.

    Notes
    -----
    Documents without an embedding are stored and filtered, and never found by a vector. Haystack
    reads a pipeline that names this module where it is allowed to:
    ``Pipeline.load(..., allowed_modules=["ruvector.interop.haystack"])``.

    Examples
    --------
    >>> from haystack.dataclasses import Document
    >>> from ruvector.interop.haystack import RuvectorDocumentStore
    >>> store = RuvectorDocumentStore()
    >>> store.write_documents([Document(content="red", embedding=[1.0, 0.0])])
    1
    >>> store.embedding_retrieval([1.0, 0.1], top_k=1)[0].content
    'red'
    """

    def __init__(
        self,
        *,
        metric: str | None = None,
        index: dict[str, Any] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        asked = dict(index or {})
        self.path = None if path is None else os.fspath(path)
        self._store = KeyedIndex(metric="cosine" if metric is None else metric, **asked)
        if self.path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._store = KeyedIndex.load(self.path)
        if metric is not None:
            asked["metric"] = metric
        if others := self._store.differing(asked):
            given = {name: asked[name] for name in others}
            raise InvalidArgumentError(
                f"the settings {given} were given but the store in {self.path!r} has {others}; "
                "leave them out, or name another folder"
            )
        self.index = dict(self._store.options)
        self.metric: str = self.index.pop("metric")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as Haystack's pipelines keep them."""
        data: dict[str, Any] = default_to_dict(
            self, metric=self.metric, index=self.index, path=self.path
        )
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RuvectorDocumentStore:
        """Return the store whose :meth:`to_dict` is given."""
        made: RuvectorDocumentStore = default_from_dict(cls, data)
        return made

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write the documents to a folder, by default the store's own.

        Raises
        ------
        InvalidTypeError
            Neither a path here nor one of the store; metadata that JSON cannot hold.
        """
        target = self.path if path is None else path
        if target is None:
            raise InvalidTypeError("path is None and the store has none of its own; name a folder")
        self._store.save(target)

    def count_documents(self) -> int:
        """Return how many documents there are."""
        return len(self._store)

    def filter_documents(self, filters: Filters | None = None) -> list[Document]:
        """Return the documents that match Haystack's filters, all without any."""
        fits = _fits(filters)
        records = list(self._store.records.items())
        made = [(key, _document(record)) for key, record in records]
        chosen = [(key, document) for key, document in made if fits(document)]
        vectors = self._store.vectors([key for key, _ in chosen])
        return [
            document if vector is None else replace(document, embedding=vector.tolist())
            for (_, document), vector in zip(chosen, vectors, strict=True)
        ]

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Store documents; return how many were written. Without a policy duplicates are errors.

        Raises
        ------
        ValueError
            No list of documents.
        DuplicateDocumentError
            An id that is there, unless the policy is to skip or to overwrite; nothing is written.
        """
        listed = [] if isinstance(documents, str) or not isinstance(documents, Iterable) else (
            list(documents)
        )  # fmt: skip
        if isinstance(documents, str) or not isinstance(documents, Iterable) or any(
            not isinstance(document, Document) for document in listed
        ):  # fmt: skip
            raise ValueError("documents must be a list of Documents")
        fresh: dict[str, Document] = {}
        for document in listed:
            if policy != DuplicatePolicy.OVERWRITE and (
                document.id in self._store or document.id in fresh
            ):
                if policy == DuplicatePolicy.SKIP:
                    continue
                raise DuplicateDocumentError(f"a document with id {document.id!r} is there already")
            fresh[document.id] = document
        written = len(listed) if policy == DuplicatePolicy.OVERWRITE else len(fresh)
        if fresh:
            records = [{**d.to_dict(flatten=False), "embedding": None} for d in fresh.values()]
            self._store.put(list(fresh), [d.embedding for d in fresh.values()], records)
        return written

    def delete_documents(self, document_ids: list[str]) -> None:
        """Remove documents; ids that are not there are passed over."""
        self._store.drop(document_ids)

    def embedding_retrieval(
        self,
        query_embedding: list[float],
        *,
        filters: Filters | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
    ) -> list[Document]:
        """Return the documents nearest to a vector, the nearest first.

        Their score is larger where they are nearer: the cosine, the inner product, or the squared
        distance below 0.
        """
        fits = None if not filters else _fits(filters)
        found = self._store.search(
            query_embedding, top_k,
            where=None if fits is None else lambda _, record: fits(_document(record)),
        )  # fmt: skip
        vectors = self._store.vectors([hit.key for hit in found]) if return_embedding else ()
        documents = []
        for place, hit in enumerate(found):
            score = 1 - hit.distance if self.metric == "cosine" else -hit.distance
            vector = vectors[place] if vectors else None
            embedding = None if vector is None else vector.tolist()
            documents.append(replace(_document(hit.record), score=score, embedding=embedding))
        return documents


@component
class RuvectorEmbeddingRetriever:
    """A component that finds the documents of a store nearest to an embedding.

    Parameters
    ----------
    document_store : RuvectorDocumentStore
    filters : dict, optional
        Haystack's, for every run that brings none.
    top_k : int
        How many.
    """

    def __init__(
        self,
        document_store: RuvectorDocumentStore,
        *,
        filters: Filters | None = None,
        top_k: int = 10,
    ) -> None:
        if not isinstance(document_store, RuvectorDocumentStore):
            raise InvalidTypeError(
                f"document_store is a {type(document_store).__name__} but must be a "
                "RuvectorDocumentStore"
            )
        self.document_store, self.filters, self.top_k = document_store, filters, top_k

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as Haystack's pipelines keep them."""
        data: dict[str, Any] = default_to_dict(
            self, document_store=self.document_store.to_dict(), filters=self.filters,
            top_k=self.top_k,
        )  # fmt: skip
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RuvectorEmbeddingRetriever:
        """Return the component whose :meth:`to_dict` is given."""
        settings = dict(data["init_parameters"])
        if isinstance(settings["document_store"], dict):
            store = RuvectorDocumentStore.from_dict(settings["document_store"])
            settings["document_store"] = store
        made: RuvectorEmbeddingRetriever = default_from_dict(
            cls, {**data, "init_parameters": settings}
        )
        return made

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_embedding: list[float],
        filters: Filters | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Return ``{"documents": ...}``, the nearest first."""
        found = self.document_store.embedding_retrieval(
            query_embedding, filters=filters or self.filters, top_k=top_k or self.top_k
        )
        return {"documents": found}


def _document(record: dict[str, Any]) -> Document:
    made: Document = Document.from_dict(dict(record))
    return made


def _fits(filters: Filters | None) -> Callable[[Document], bool]:
    if not filters:
        return lambda _: True
    if "operator" not in filters and "conditions" not in filters:
        raise ValueError("filters must have an 'operator', as Haystack 2 has them")
    return lambda document: bool(document_matches_filter(filters, document))
