"""ruvector, with buffers given."""

import numpy as np
from ruvector import losses, similarity
from ruvector.graph import Graph
from ruvector.runtime import set_num_threads

from ..cases import TEMPERATURE


def explicit(inputs, threads):
    set_num_threads(threads)
    loss, out = losses.InfoNCELoss(TEMPERATURE), [*map(np.empty_like, inputs)]
    return lambda: loss.value_and_grad(*inputs, out=out)


def by_index(inputs, threads):
    set_num_threads(threads)
    loss, out = losses.InfoNCELoss(TEMPERATURE), np.empty_like(inputs[0])
    return lambda: loss.value_and_grad_indexed(*inputs, out=out)


def _in_batch(mode, inputs, threads):
    set_num_threads(threads)
    # Buffers for those inputs, and none for further negatives.
    loss, out = (
        losses.InBatchInfoNCELoss(TEMPERATURE, mode=mode),
        [np.full_like(x, 0) for x in inputs],
    )
    return lambda: loss.value_and_grad(*inputs, out=[*out, None])


def clip(inputs, threads):
    return _in_batch("symmetric", inputs, threads)


def ntxent(inputs, threads):
    return _in_batch("ntxent", inputs, threads)


def laplacian(inputs, threads):
    set_num_threads(threads)
    z, ends = inputs
    graph, loss, out = Graph.from_edges(ends, len(z)), losses.LaplacianLoss(), [np.empty_like(z)]
    return lambda: loss.value_and_grad(z, graph=graph, out=out)


def laplacian_value(inputs, threads):
    set_num_threads(threads)
    z, ends = inputs
    graph, loss = Graph.from_edges(ends, len(z)), losses.LaplacianLoss()
    return lambda: loss(z, graph=graph)


def cosine(inputs, threads):
    set_num_threads(threads)
    return lambda: similarity.cosine_matrix(*inputs)
