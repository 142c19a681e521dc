"""What training, embeddings, graphs and indexes look like; every function returns its Axes.

Needs matplotlib (extra ``plots``). Nothing is shown or kept: without `ax` each
function draws on a figure of its own, which ``ax.figure.savefig("plot.png")`` writes.
"""

from ruvector.plots.graphs import degree_histogram, hop_histogram
from ruvector.plots.maps import embedding_map, principal_axes
from ruvector.plots.pairs import similarity_distributions
from ruvector.plots.recall import recall_speed
from ruvector.plots.runs import History, curriculum_stages, losses, schedules

__all__ = [
    "History",
    "curriculum_stages",
    "degree_histogram",
    "embedding_map",
    "hop_histogram",
    "losses",
    "principal_axes",
    "recall_speed",
    "schedules",
    "similarity_distributions",
]
