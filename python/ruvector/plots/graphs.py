"""How a graph is built: degrees, and how far its nodes are from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ruvector.arrays import check_int
from ruvector.errors import InvalidTypeError
from ruvector.graph import Graph
from ruvector.plots._axes import COLOURS, GREY, axes_or_new
from ruvector.sampling import hops

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["degree_histogram", "hop_histogram"]


def degree_histogram(graph: Graph, *, ax: Axes | None = None) -> Axes:
    """Draw how many nodes have how many neighbours, both on logarithmic axes.

    Parameters
    ----------
    graph : Graph
        Degrees above 10 are counted in bins that are a fifth of a decade wide, each drawn at its
        middle and divided by its width, so that bins compare.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Nodes without neighbours, which have no place on such an axis, are counted in its title.
        Without edges there is nothing to draw, and the axes are linear.

    Raises
    ------
    InvalidTypeError
        No graph.

    Examples
    --------
    >>> from ruvector import Graph, plots
    >>> ax = plots.degree_histogram(Graph.from_edges([[0, 1], [0, 2]], num_nodes=4))
    >>> ax.get_title()
    '1 of 4 nodes without neighbours'
    """
    degrees = _checked(graph).degrees
    some = degrees[degrees > 0]
    wide = np.unique(np.round(10 ** np.arange(1.0, 10.0, 0.2)).astype(np.int64))
    edges = np.concatenate([np.arange(1, 10), wide])
    edges = edges[: np.searchsorted(edges, some.max(initial=1), side="right") + 1]
    counts = np.histogram(some, edges)[0]
    widths = np.diff(edges)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    there = counts > 0
    axes = axes_or_new(ax)
    axes.plot(middles[there], counts[there] / widths[there], "o", color=COLOURS[0], markersize=5)
    axes.set(xlabel="neighbours of a node", ylabel="nodes with so many")
    if len(some):  # Without a point Matplotlib cannot draw a logarithmic axis.
        axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.7g}")
    axes.grid(alpha=0.3)
    alone = len(degrees) - len(some)
    if alone:
        axes.set_title(f"{alone:,} of {len(degrees):,} nodes without neighbours", fontsize="medium")
    return axes


def hop_histogram(
    graph: Graph, *, most: int = 12, sources: int = 200, seed: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw at how many hops the other nodes are, from a sample of nodes.

    Parameters
    ----------
    graph : Graph
        Weights do not matter.
    most : int
        The largest distance that is told apart; what is farther counts as out of reach.
    sources : int
        Nodes to start from, drawn without replacement; all where there are fewer.
    seed : int
        Of the draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        A bar for each number of hops up to the last that is not empty, in shares of all pairs,
        and a grey one for pairs out of reach, where there are any.

    Raises
    ------
    InvalidTypeError
        No graph.
    InvalidArgumentError
        `most`, `sources` or `seed` out of range.

    Notes
    -----
    At most `most` searches from each source, O(most² · E) for 64 sources together.

    Examples
    --------
    >>> from ruvector import Graph, plots
    >>> ax = plots.hop_histogram(Graph.from_edges([[0, 1], [1, 2]]))
    >>> len(ax.patches)  # one hop, and two
    2
    """
    from matplotlib.ticker import PercentFormatter  # noqa: PLC0415  (optional)

    _checked(graph)
    limit = check_int(most, "most", low=1)
    count = min(check_int(sources, "sources", low=1), graph.num_nodes)
    random = np.random.default_rng(check_int(seed, "seed", low=0))
    chosen = random.choice(graph.num_nodes, count, replace=False)
    pairs = count * (graph.num_nodes - 1)
    found: list[int] = []
    while len(found) < limit and sum(found) < pairs:
        distance = len(found) + 1
        at = hops(graph, np.sort(chosen), least=distance, most=distance)
        if not len(at.indices):
            break
        found.append(len(at.indices))
    shares = np.array(found) / max(pairs, 1)
    axes = axes_or_new(ax)
    axes.bar(np.arange(1, len(found) + 1), shares, color=COLOURS[0])
    ticks = [str(hop) for hop in range(1, len(found) + 1)]
    out = pairs - sum(found)
    if out or not found:
        axes.bar([len(found) + 1], [out / max(pairs, 1)], color=GREY)
        ticks.append("out of\nreach")
    axes.set_xticks(np.arange(1, len(ticks) + 1), ticks)
    axes.set_xlabel("hops between two nodes")
    axes.set_ylabel("share of pairs")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if count < graph.num_nodes:
        axes.set_title(f"from {count:,} of {graph.num_nodes:,} nodes", fontsize="medium")
    return axes


def _checked(graph: object) -> Graph:
    if not isinstance(graph, Graph):
        raise InvalidTypeError(f"graph is a {type(graph).__name__} but must be a Graph")
    return graph
