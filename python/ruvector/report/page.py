"""The page: one file of HTML that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruvector._core import __version__
from ruvector.arrays import check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.evaluation import evaluate_embeddings
from ruvector.model import Model
from ruvector.report.explorer import explorer_data
from ruvector.report.figures import Figure, figures_of
from ruvector.smoothing import smooth
from ruvector.tracking import LossTracker
from ruvector.training import EpochRecord

__all__ = ["report_html", "write_report"]


def report_html(
    model: Model,
    *,
    title: str = "Trained embeddings",
    losses: LossTracker | None = None,
    nodes: int = 20_000,
    k: int = 10,
) -> str:
    """Return a page about a model as HTML that needs no other file and no network.

    Needs matplotlib (extra ``plots``).

    Parameters
    ----------
    model : Model
        As :func:`ruvector.train_model` returns it or :meth:`Model.load` reads it.
    title : str
        Of the page.
    losses : LossTracker, optional
        What the training's epochs told; by default the ``"histories"`` of the model's details,
        where there are any.
    nodes : int
        The most nodes that the explorer knows; where there are more, those with most neighbours.
    k : int
        Nearest neighbours of each that it shows.

    Returns
    -------
    str
        Figures beside those of raw features and of smoothing, as far as the graph's labels and the
        split allow, plots, and an explorer: find a node by name or number, click through its
        nearest neighbours.

    Raises
    ------
    InvalidTypeError
        No model, or losses that are no tracker.
    InvalidArgumentError
        `nodes` or `k` below 1, or a history in the model's details that is none of epochs, or
        costs or seconds there that are no numbers.

    Notes
    -----
    Names are data and never markup: the page's policy (CSP) runs no script but its own, and loads
    nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector import Graph, train_model
    >>> from ruvector.report import report_html
    >>> graph = Graph.from_edges([[i, (i + 1) % 30] for i in range(30)], features=np.eye(30))
    >>> page = report_html(train_model(graph, task="link"))
    >>> page.startswith("<!doctype html>")
    True
    """
    if not isinstance(model, Model):
        raise InvalidTypeError(f"model is a {type(model).__name__} but must be a Model")
    if losses is not None and not isinstance(losses, LossTracker):
        raise InvalidTypeError(f"losses is a {type(losses).__name__} but must be a LossTracker")
    trackers = _histories(model) if losses is None else {"": losses}
    data = explorer_data(model, nodes=check_int(nodes, "nodes", low=1), k=check_int(k, "k", low=1))
    parts = {
        "title": html.escape(str(title)),
        "facts": _table(_facts(model)),
        "figures": _figures_table(_quality(model)),
        "plots": "\n".join(_figure(figure) for figure in figures_of(model, trackers)),
        "data": _script_data(data),
    }
    return _filled(parts)


def _histories(model: Model) -> dict[str, LossTracker]:
    found: dict[str, LossTracker] = {}
    histories = model.details.get("histories", {})
    if not isinstance(histories, Mapping):
        raise InvalidArgumentError(
            f"the model's details hold histories that are a {type(histories).__name__} but must "
            "be lists of epochs by name; give the report losses to draw instead"
        )
    for name, records in histories.items():
        try:
            tracker = LossTracker(EpochRecord(**record) for record in records)
            _ = tracker.epochs  # Numbers, or this fails.
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidArgumentError(
                f"the model's details hold a history {name!r} that is none of epochs ({error}); "
                "give the report losses to draw instead"
            ) from None
        found[str(name)] = tracker
    return found


def _costs(model: Model) -> dict[str, dict[str, float]]:
    costs = model.details.get("costs", {})
    if not isinstance(costs, Mapping) or not all(isinstance(c, Mapping) for c in costs.values()):
        raise InvalidArgumentError(
            f"the model's details hold costs {costs!r} but they must be numbers by name; replace "
            "or leave out the model's details"
        )
    return {
        str(name): {str(of): _number(value, f"the {of} of {name}") for of, value in cost.items()}
        for name, cost in costs.items()
    }


def _number(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgumentError(
            f"the model's details hold {value!r} for {what} but it must be a number; replace or "
            "leave out the model's details"
        ) from None


def write_report(model: Model, path: str | os.PathLike[str], **options: Any) -> None:
    """Write :func:`report_html` to a file, which appears only once it is complete.

    Parameters
    ----------
    model : Model
        With its index.
    path : path
        Such as ``report.html``; replaced where it exists.
    **options
        Of :func:`report_html`.
    """
    text = report_html(model, **options)
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _facts(model: Model) -> list[tuple[str, str]]:
    details = model.details
    rows = [
        ("nodes", f"{model.graph.num_nodes:,}"),
        ("edges", f"{model.graph.num_edges:,}"),
        ("dimensions", f"{model.embeddings.shape[1]:,}"),
        ("parameters", f"{sum(array.size for array in model.weights.values()):,}"),
        ("index", f"HNSW, {model.index.metric}, m {model.index.m}, "
                  f"ef_construction {model.index.ef_construction}, {model.index.storage}"),
        ("index memory", f"{model.index.memory_usage()['total'] / 1e6:,.1f} MB"),
    ]  # fmt: skip
    rows += [(name, str(details[name])) for name in ("task", "seed") if name in details]
    if "index_seconds" in details:
        seconds = _number(details["index_seconds"], "index_seconds")
        rows.append(("seconds to index", f"{seconds:.2f}"))
    return rows


def _quality(model: Model) -> dict[str, dict[str, float]]:
    """Figures of the model beside those of what needs no training."""
    graph, split = model.graph, model.split
    visible = graph if split is None else split.train_graph
    quality = {
        "trained": evaluate_embeddings(model.embeddings, graph, split=split, index=model.index),
        "smoothed": evaluate_embeddings(smooth(visible, graph.features), graph, split=split),
    }
    if graph.features is not None:
        quality["raw features"] = evaluate_embeddings(graph.features, graph, split=split)
    costs = _costs(model)
    for name, cost in (("trained", "trained"), ("smoothed", "smooth"), ("raw features", "raw")):
        if name in quality:
            quality[name] |= costs.get(cost, {})
    return quality


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>\n'
        for name, value in rows
    )
    return f"<table>\n{cells}</table>"


def _figures_table(quality: Mapping[str, Mapping[str, float]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in quality)
    lines = [f"<tr><td></td>{head}</tr>"]
    for figure in quality["trained"]:
        values = (quality[name].get(figure) for name in quality)
        cells = "".join(f"<td>{'–' if v is None else f'{v:,.4g}'}</td>" for v in values)
        lines.append(f'<tr><th scope="row">{html.escape(figure)}</th>{cells}</tr>')
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _figure(figure: Figure) -> str:
    title, caption = html.escape(figure.title), html.escape(figure.caption)
    return (
        f"<figure>\n<h3>{title}</h3>\n{figure.svg}\n<figcaption>{caption}</figcaption>\n</figure>"
    )


def _script_data(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _filled(parts: Mapping[str, str]) -> str:
    folder = files("ruvector.report")
    script = (folder / "explorer.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    known = {
        **parts,
        "version": html.escape(__version__),
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "script": script,
        "digest": digest,
    }
    text = (folder / "page.html").read_text(encoding="utf-8")
    # Split, not replaced one by one: a name in the data may look like a mark.
    pieces = text.split("@@")
    pieces[1::2] = [known[name] for name in pieces[1::2]]
    return "".join(pieces)
