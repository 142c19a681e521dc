"""An example of every loss, at a size that a training step might have."""

import numpy as np
from ruvector import losses
from ruvector.graph import Graph


def _normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _infonce():
    return losses.InfoNCELoss(), (_normal(4096, 128), _normal(4096, 128), _normal(4096, 64, 128))


def _inbatch():
    return losses.InBatchInfoNCELoss(), (_normal(4096, 128), _normal(4096, 128), None)


def _cca_ssg():
    return losses.CCASSGLoss(), (_normal(4096, 256), _normal(4096, 256))


def _ewc():
    return losses.EWCLoss(), (_normal(10_000_000), _normal(10_000_000), _normal(10_000_000) ** 2)


def _laplacian():
    src, dst = np.random.default_rng(1).integers(0, 10_000, (2, 100_000))
    return losses.LaplacianLoss(), (_normal(10_000, 128), src, dst)


def _norm():
    return losses.NormLoss(), (_normal(100_000, 128),)


def _orthogonality():
    return losses.OrthogonalityLoss(), (_normal(16_384, 256),)


def _sparsity():
    return losses.SparsityLoss("huber"), (_normal(100_000, 128),)


def _pairs():
    return np.random.default_rng(1).integers(0, 100_000, (2, 1_000_000))


def _distillation():
    return losses.DistillationLoss(), (_normal(4096, 128), _normal(4096, 128)[::-1])


def _link_prediction():
    src, dst = _pairs()
    labels = (src % 2).astype(np.float32)
    return losses.LinkPredictionLoss(), (_normal(100_000, 128), src, dst, labels)


def _local_contrastive():
    src, dst = _pairs()
    return losses.LocalContrastiveLoss(), (_normal(100_000, 128), src, dst, src % 2 == 0)


def _multi_hop():
    inputs = {
        "anchors": _normal(1024, 128),
        "positives": _normal(1024, 8, 128),
        "negatives": _normal(1024, 64, 128),
        "hops": np.tile([1, 1, 1, 2, 2, 2, 2, 0], (1024, 1)),
    }
    return losses.MultiHopContrastiveLoss(), inputs


def _neighbor_contrastive():
    graph = Graph.from_edges(_pairs().T[:200_000], num_nodes=100_000)
    return losses.NeighborContrastiveLoss(), (_normal(100_000, 128), graph)


def _triplet():
    x = _normal(65_536, 128)
    return losses.TripletLoss(), (x, x[::-1], np.roll(x, 1, axis=0))


def _rows(seed, count, *shape):
    """Row numbers below `count`."""
    return np.random.default_rng([1, seed]).integers(0, count, shape)


def _named(loss, shapes, indices, floats=None):
    """Return a loss with float inputs of these shapes and row numbers below and of a length.

    `floats` are as row numbers, but floats.
    """
    return lambda: (
        loss,
        {name: _normal(*shape) for name, shape in shapes.items()}
        | {name: _rows(seed, *size) for seed, (name, size) in enumerate(indices.items())}
        | {name: _rows(99, *size).astype(np.float32) for name, size in (floats or {}).items()},
    )


NODES, EDGES = 100_000, 500_000
TABLE = {"embeddings": (NODES, 128)}
ENDS = {"src": (NODES, EDGES), "dst": (NODES, EDGES)}
VIEWS = {"first": (4096, 256), "second": (4096, 256)}

CASES = {"infonce": _infonce, "inbatch_infonce": _inbatch, "cca_ssg": _cca_ssg}
CASES |= {
    "ewc": _ewc,
    "laplacian": _laplacian,
    "norm": _norm,
    "orthogonality": _orthogonality,
    "sparsity": _sparsity,
    "distillation": _distillation,
    "link_prediction": _link_prediction,
    "local_contrastive": _local_contrastive,
    "multi_hop": _multi_hop,
    "neighbor_contrastive": _neighbor_contrastive,
    "triplet": _triplet,
}
CASES |= {
    loss.name: _named(loss, *sizes)
    for loss, *sizes in [
        (
            losses.AdjacencyReconstructionLoss(),
            {"embeddings": (4096, 128)},
            {"src": (4096, 20_000), "dst": (4096, 20_000)},
        ),
        (
            losses.EdgeReconstructionLoss(),
            TABLE,
            ENDS | {"negative_src": (NODES, EDGES), "negative_dst": (NODES, EDGES)},
        ),
        (
            losses.FeatureReconstructionLoss(),
            {"embeddings": (10_000, 128), "weight": (128, 1000), "bias": (1000,)}
            | {"target": (10_000, 1000)},
            {},
        ),
        (
            losses.DeepGraphInfomaxLoss(),
            {"states": (NODES, 128), "corrupted": (NODES, 128), "weight": (128, 128)},
            {},
        ),
        (losses.NodeClassificationLoss(), {"logits": (NODES, 64)}, {"labels": (64, NODES)}),
        (
            losses.GraphClassificationLoss(),
            TABLE | {"weight": (128, 10), "bias": (10,)},
            {"graphs": (1000, NODES), "labels": (10, 1000)},
        ),
        (losses.EdgeBCELoss(), {"logits": (EDGES,)}, {}, {"labels": (2, EDGES)}),
        (losses.DistancePreservationLoss(), TABLE, ENDS, {"distances": (5, EDGES)}),
        (
            losses.AnglePreservationLoss(),
            TABLE,
            dict.fromkeys(("vertex", "first", "second"), (NODES, EDGES)),
            {"cosines": (2, EDGES)},
        ),
        (losses.CurvatureLoss(), TABLE, ENDS, {"curvature": (2, EDGES)}),
        (losses.BarlowTwinsLoss(), VIEWS, {}),
        (losses.VICRegLoss(), VIEWS, {}),
    ]
}
