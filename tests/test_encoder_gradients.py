"""Gradients of encoders, through objectives and losses, against central differences."""

import numpy as np
import pytest
from encoder_cases import ENCODERS, GRAPH, OBJECTIVES, check_differences, doubles, start
from ruvector import (
    losses,
)
from ruvector.autograd import Variable, add, backward, constant, loss_node


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ENCODERS)
def test_gradients_of_a_step_equal_central_differences(kind, objective, form):
    """End to end: from every weight through the encoder and the objective's losses."""
    encoder = ENCODERS[kind]
    matrix, weights = start(encoder, form)
    run = OBJECTIVES[objective].start(encoder, weights, GRAPH, matrix, seed=1)
    own = getattr(run, "parameters", {})
    trained = doubles({**{n: weights[n] for n in encoder.trainable}, **own})
    step = next(iter(run.epoch(0, weights)))

    def total(variables):
        value = None
        for part in step(variables).values():
            value = part if value is None else add(value, part)
        return value

    variables = {name: Variable(array) for name, array in trained.items()}
    backward(total(variables))
    gradients = {
        name: np.zeros_like(v.value) if v.grad is None else v.grad for name, v in variables.items()
    }

    def value(arrays):
        return float(total({name: constant(array) for name, array in arrays.items()}).value)

    check_differences(value, trained, gradients)


EMBEDDING_LOSSES = {
    "infonce": lambda z: (losses.InfoNCELoss(0.5), [z, z, z], {}),
    "laplacian": lambda z: (losses.LaplacianLoss(), [z], _edges()),
    "norm": lambda z: (losses.NormLoss(), [z], {}),
    "orthogonality": lambda z: (losses.OrthogonalityLoss(), [z], {}),
    "sparsity": lambda z: (losses.SparsityLoss("huber"), [z], {}),
    "local_contrastive": lambda z: (
        losses.LocalContrastiveLoss(2.0),
        [z],
        {**_edges(), "similar": np.arange(len(GRAPH.edges)) % 2 == 0},
    ),
    "link_prediction": lambda z: (
        losses.LinkPredictionLoss(),
        [z],
        {**_edges(), "labels": np.arange(len(GRAPH.edges)) % 2.0},
    ),
    "neighbor_contrastive": lambda z: (
        losses.NeighborContrastiveLoss(num_negatives=3),
        [z],
        {"graph": GRAPH},
    ),
    "adjacency": lambda z: (losses.AdjacencyReconstructionLoss(), [z], _edges()),
    "distances": lambda z: (
        losses.DistancePreservationLoss(),
        [z],
        {**_edges(), "distances": np.ones(len(GRAPH.edges))},
    ),
    "angles": lambda z: (
        losses.AnglePreservationLoss(),
        [z],
        {"vertex": [0, 1, 2], "first": [3, 4, 5], "second": [6, 7, 8], "cosines": [0.1, 0.0, -0.3]},
    ),
    "curvature": lambda z: (
        losses.CurvatureLoss(),
        [z],
        {**_edges(), "curvature": np.linspace(-1, 1, len(GRAPH.edges))},
    ),
    "triplet": lambda z: (losses.TripletLoss(), [z, z, z], {}),
    "distillation": lambda z: (
        losses.DistillationLoss(2.0),
        [z],
        {"teacher_logits": np.linspace(-1, 1, z.value.size).reshape(z.shape)},
    ),
    "barlow": lambda z: (losses.BarlowTwinsLoss(), [z, z], {}),
    "vicreg": lambda z: (losses.VICRegLoss(), [z, z], {}),
}


def _edges():
    return {"src": GRAPH.edges[:, 0], "dst": GRAPH.edges[:, 1]}


@pytest.mark.parametrize("loss", EMBEDDING_LOSSES)
@pytest.mark.parametrize("kind", ["gcn", "sage", "mlp", "linear", "ruvector-deep"])
def test_gradients_of_each_loss_reach_the_weights(kind, loss):
    """Losses of two or three inputs compare the embeddings with the same ones in another order."""
    encoder = ENCODERS[kind]
    matrix, weights = start(encoder)
    trained = doubles({name: weights[name] for name in encoder.trainable})
    inputs = encoder.inputs(weights, GRAPH, matrix)
    rows = np.random.default_rng(0).permutation(14)[:12]

    def total(variables):
        z = encoder.forward(variables, inputs)
        whole, given, keywords = EMBEDDING_LOSSES[loss](z)
        if len(given) > 1:
            given = [
                encoder.forward(variables, inputs, rows=np.roll(rows, shift))
                for shift in range(len(given))
            ]
        return loss_node(whole, given, **keywords)

    variables = {name: Variable(array) for name, array in trained.items()}
    backward(total(variables))
    check_differences(
        lambda arrays: float(total({n: constant(a) for n, a in arrays.items()}).value),
        trained,
        {
            name: np.zeros_like(v.value) if v.grad is None else v.grad
            for name, v in variables.items()
        },
    )
