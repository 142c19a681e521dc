"""Cases of the reconstruction, task, geometric and decorrelation losses, for ``loss_cases``.

Where there is no golden file the reference is written here from the definition, in plain NumPy.
"""

import numpy as np
from loss_cases import Case, Golden, Sample, arrays_of
from ruvector import losses


def softplus(x):
    return np.logaddexp(0, x)


def lse(x):
    top = x.max(axis=-1, keepdims=True)
    return (top + np.log(np.exp(x - top).sum(axis=-1, keepdims=True)))[..., 0]


def reduced(items, reduction):
    if reduction == "none":
        return items
    return items.sum() / (max(len(items), 1) if reduction == "mean" else 1)


def _reduction(rng, choices=("mean", "sum", "none")):
    return str(rng.choice(choices))


def _adjacency_golden():
    def read(case, suffix):
        arrays = arrays_of("adjacency_reconstruction" + suffix)[case]
        src, dst = np.nonzero(arrays["adjacency"])
        return Golden(
            losses.AdjacencyReconstructionLoss(float(arrays["pos_weight"])),
            {"embeddings": arrays["embeddings"]},
            {"src": src, "dst": dst},
            float(arrays["loss"]),
            None,
            {"embeddings": arrays["grad_embeddings"]},
        )

    return {
        f"adjacency_reconstruction-{case}": lambda suffix, case=case: read(case, suffix)
        for case in arrays_of("adjacency_reconstruction")
    }


def _pairs(rng, rows, count):
    return rng.integers(0, rows, (2, count)) if rows else np.zeros((2, 0), np.int64)


def _adjacency(rng):
    rows, cols = int(rng.choice([1, 2, 5, 9, 140, 300])), int(rng.integers(1, 6))
    z = rng.standard_normal((rows, cols))
    z[rng.random(rows) < 0.1] = 0
    src, dst = _pairs(rng, rows, int(rng.integers(0, 3 * rows)))
    loss = losses.AdjacencyReconstructionLoss(
        float(rng.choice([0.3, 1, 4])), _reduction(rng, ["mean", "sum"])
    )
    return Sample(loss, {"embeddings": z}, {"src": src, "dst": dst})


def _adjacency_reference(loss, inputs, keywords):
    z = inputs["embeddings"]
    logits = z @ z.T
    linked = np.zeros(logits.shape, bool)
    linked[keywords["src"], keywords["dst"]] = True
    linked |= linked.T
    items = np.where(linked, loss.pos_weight * softplus(-logits), softplus(logits))
    return reduced(items[np.triu_indices(len(z), 1)], loss.reduction)


def _edges(rng):
    rows, cols = rng.integers(1, [9, 6])
    src, dst = _pairs(rng, rows, rng.integers(0, 12))
    far, off = _pairs(rng, rows, rng.integers(0, 12))
    loss = losses.EdgeReconstructionLoss(float(rng.choice([0.3, 1, 4])), _reduction(rng))
    keywords = {"src": src, "dst": dst, "negative_src": far, "negative_dst": off}
    return Sample(loss, {"embeddings": rng.standard_normal((rows, cols))}, keywords)


def _edges_reference(loss, inputs, keywords):
    z = inputs["embeddings"]
    near = np.sum(z[keywords["src"]] * z[keywords["dst"]], axis=1)
    far = np.sum(z[keywords["negative_src"]] * z[keywords["negative_dst"]], axis=1)
    items = np.concatenate([loss.pos_weight * softplus(-near), softplus(far)])
    return reduced(items, loss.reduction)


def _features(rng):
    rows, cols, width = rng.integers([0, 1, 1], [9, 6, 7])
    form = str(rng.choice(["squared_error", "binary", "categorical"]))
    target = rng.random((rows, width))
    if form == "categorical" and rng.integers(2):
        target = rng.integers(0, width, rows)
    loss = losses.FeatureReconstructionLoss(form, float(rng.choice([0.5, 1, 3])), _reduction(rng))
    inputs = {
        "embeddings": rng.standard_normal((rows, cols)),
        "weight": rng.standard_normal((cols, width)),
        "bias": rng.standard_normal(width) if rng.integers(2) else None,
    }
    return Sample(loss, inputs, {"target": target})


def _features_reference(loss, inputs, keywords):
    z, weight, bias = inputs.values()
    logits, target = z @ weight + (0 if bias is None else bias), keywords["target"]
    if loss.form == "squared_error":
        items = np.mean((logits - target) ** 2, axis=1)
    elif loss.form == "binary":
        each = loss.pos_weight * target * softplus(-logits) + (1 - target) * softplus(logits)
        items = np.mean(each, axis=1)
    else:
        if target.ndim == 1:
            target = np.eye(logits.shape[1])[target]
        items = np.sum(target * (lse(logits)[:, None] - logits), axis=1)
    return reduced(items, loss.reduction)


def _infomax(rng):
    rows, others, cols, width = rng.integers([1, 0, 1, 1], [9, 9, 6, 6])
    given = bool(rng.integers(2))
    inputs = {
        "states": rng.standard_normal((rows, cols)),
        "corrupted": rng.standard_normal((others, cols)),
        "weight": rng.standard_normal((cols, width if given else cols)),
        "summary": rng.standard_normal(width) if given else None,
    }
    return Sample(losses.DeepGraphInfomaxLoss(_reduction(rng)), inputs, {})


def _infomax_reference(loss, inputs, _):
    states, corrupted, weight, summary = inputs.values()
    if summary is None:
        summary = 1 / (1 + np.exp(-states.mean(axis=0)))
    real = [softplus(-(h @ weight @ summary)) for h in states]
    fake = [softplus(h @ weight @ summary) for h in corrupted]
    return reduced(np.array(real + fake), loss.reduction)


def _weighted(items, weights, reduction):
    if reduction == "mean":
        total = weights.sum()
        return np.sum(weights * items) / (total if total > 0 else 1)
    return reduced(weights * items, reduction)


def _weights(rng, classes):
    return rng.choice([0.0, 0.5, 2.0], classes) if rng.integers(2) else None


def _cross_entropy(logits, labels, class_weights, mask, reduction):
    counts = (labels >= 0) if mask is None else (labels >= 0) & mask
    weights = np.where(counts, 1.0 if class_weights is None else class_weights[labels], 0.0)
    items = lse(logits) - np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return _weighted(items, weights, reduction)


def _nodes(rng):
    rows, classes = rng.integers([0, 1], [12, 6])
    keywords = {
        "labels": rng.integers(-1, classes, rows),
        "class_weights": _weights(rng, classes),
        "mask": rng.random(rows) < 0.7 if rng.integers(2) else None,
    }
    logits = rng.standard_normal((rows, classes)) * float(rng.choice([0.1, 1, 30]))
    return Sample(losses.NodeClassificationLoss(_reduction(rng)), {"logits": logits}, keywords)


def _nodes_reference(loss, inputs, keywords):
    return _cross_entropy(inputs["logits"], *keywords.values(), loss.reduction)


def _graphs(rng):
    rows, graphs, cols, classes = rng.integers([0, 1, 1, 1], [20, 6, 5, 5])
    layer = int(rng.integers(3))
    if layer == 0:
        classes = cols
    inputs = {
        "embeddings": rng.standard_normal((rows, cols)),
        "weight": rng.standard_normal((cols, classes)) if layer else None,
        "bias": rng.standard_normal(classes) if layer == 2 else None,
    }
    keywords = {
        "graphs": rng.integers(0, graphs, rows),
        "labels": rng.integers(-1, classes, graphs),
        "class_weights": _weights(rng, classes),
    }
    pooling = str(rng.choice(["mean", "sum", "max"]))
    return Sample(losses.GraphClassificationLoss(pooling, _reduction(rng)), inputs, keywords)


def _graphs_reference(loss, inputs, keywords):
    z, weight, bias = inputs.values()
    graphs, labels, class_weights = keywords.values()
    pool = {"mean": np.mean, "sum": np.sum, "max": np.max}[loss.pooling]
    rows = [z[graphs == g] for g in range(len(labels))]
    pooled = np.array([pool(r, axis=0) if len(r) else np.zeros(z.shape[1]) for r in rows])
    logits = pooled if weight is None else pooled @ weight + (0 if bias is None else bias)
    return _cross_entropy(logits, labels, class_weights, None, loss.reduction)


def _edge_bce(rng):
    count = rng.integers(0, 12)
    keywords = {
        "labels": rng.choice([0.0, 1.0, 0.25], count),
        "mask": rng.random(count) < 0.7 if rng.integers(2) else None,
    }
    loss = losses.EdgeBCELoss(float(rng.choice([0.3, 1, 4])), _reduction(rng))
    return Sample(loss, {"logits": rng.standard_normal(count) * 3}, keywords)


def _edge_bce_reference(loss, inputs, keywords):
    logits, (labels, mask) = inputs["logits"], keywords.values()
    items = loss.pos_weight * labels * softplus(-logits) + (1 - labels) * softplus(logits)
    counts = np.ones(len(logits)) if mask is None else mask.astype(float)
    return _weighted(items, counts, loss.reduction)


def _distances(rng):
    rows, cols = rng.integers([1, 1], [12, 6])
    src, dst = _pairs(rng, rows, rng.integers(0, 15))
    weighting = str(rng.choice(["uniform", "inverse", "inverse_square"]))
    loss = losses.DistancePreservationLoss(weighting, _reduction(rng))
    keywords = {"src": src, "dst": dst, "distances": rng.uniform(0.2, 3, len(src))}
    return Sample(loss, {"embeddings": rng.standard_normal((rows, cols))}, keywords)


def _distances_reference(loss, inputs, keywords):
    z, (src, dst, wanted) = inputs["embeddings"], keywords.values()
    power = {"uniform": 0, "inverse": 1, "inverse_square": 2}[loss.weighting]
    gaps = np.linalg.norm(z[src] - z[dst], axis=1) - wanted
    return reduced(gaps**2 / wanted**power, loss.reduction)


def _angles(rng):
    rows, cols = rng.integers([3, 2], [12, 6])
    count = int(rng.integers(0, 15))
    triples = np.array([rng.permutation(rows)[:3] for _ in range(count)]).reshape(count, 3).T
    keywords = dict(zip(("vertex", "first", "second"), triples, strict=True))
    keywords["cosines"] = rng.uniform(-1, 1, count)
    loss = losses.AnglePreservationLoss(str(rng.choice(["squared", "huber"])), _reduction(rng))
    return Sample(loss, {"embeddings": rng.standard_normal((rows, cols))}, keywords)


def _angles_reference(loss, inputs, keywords):
    z = inputs["embeddings"]
    items = []
    for vertex, first, second, wanted in zip(*keywords.values(), strict=True):
        u, v = z[first] - z[vertex], z[second] - z[vertex]
        error = abs(u @ v / max(np.linalg.norm(u) * np.linalg.norm(v), 1e-8) - wanted)
        if loss.penalty == "squared":
            items.append(error**2)
        else:
            items.append(error**2 / 2 if error <= 1 else error - 0.5)
    return reduced(np.array(items), loss.reduction)


def _curvature(rng):
    rows, cols = rng.integers([1, 1], [12, 6])
    src, dst = _pairs(rng, rows, rng.integers(0, 15))
    keywords = {
        "src": src,
        "dst": dst,
        "curvature": rng.uniform(-2, 2, len(src)),
        "lengths": rng.uniform(0, 3, len(src)) if rng.integers(2) else None,
    }
    loss = losses.CurvatureLoss(
        float(rng.choice([0, 0.5, 1])), float(rng.choice([0.5, 2])), _reduction(rng)
    )
    return Sample(loss, {"embeddings": rng.standard_normal((rows, cols))}, keywords)


def _curvature_reference(loss, inputs, keywords):
    z, (src, dst, curvature, lengths) = inputs["embeddings"], keywords.values()
    lengths = np.ones(len(src)) if lengths is None else lengths
    wanted = loss.scale * lengths * np.maximum(1 - loss.step * curvature, 0)
    return reduced((np.linalg.norm(z[src] - z[dst], axis=1) - wanted) ** 2, loss.reduction)


def _views(rng, low):
    rows, cols = rng.integers([low, 1], [12, 6])
    first, second = rng.standard_normal((2, rows, cols)) * 1.5
    return {"first": first, "second": second}


def _barlow(rng):
    loss = losses.BarlowTwinsLoss(float(rng.choice([0.0, 5e-3, 1.0])))
    return Sample(loss, _views(rng, 3), {})


def _barlow_reference(loss, inputs, _):
    first, second = ((x - x.mean(axis=0)) / x.std(axis=0) for x in inputs.values())
    c = first.T @ second / len(first)
    on = np.sum((1 - np.diag(c)) ** 2)
    return on + loss.redundancy * (np.sum(c**2) - np.sum(np.diag(c) ** 2))


def _vicreg(rng):
    weights = rng.choice([0.0, 1.0, 25.0], 3)
    loss = losses.VICRegLoss(*map(float, weights), float(rng.choice([0.5, 1.0, 2.0])))
    return Sample(loss, _views(rng, 1), {})


def _vicreg_reference(loss, inputs, _):
    first, second = inputs.values()
    rows, cols = first.shape
    value = loss.invariance * np.mean((first - second) ** 2)
    for x in (first, second):
        centred = x - x.mean(axis=0)
        c = centred.T @ centred / max(rows - 1, 1)
        missing = np.maximum(loss.deviation - np.sqrt(np.diag(c) + 1e-4), 0)
        value += loss.variance * missing.mean()
        value += loss.covariance * (np.sum(c**2) - np.sum(np.diag(c) ** 2)) / cols
    return value


CASES = {
    "adjacency_reconstruction": Case(_adjacency_golden(), _adjacency, _adjacency_reference),
    "edge_reconstruction": Case({}, _edges, _edges_reference),
    "feature_reconstruction": Case({}, _features, _features_reference),
    "deep_graph_infomax": Case({}, _infomax, _infomax_reference),
    "node_classification": Case({}, _nodes, _nodes_reference),
    "graph_classification": Case({}, _graphs, _graphs_reference),
    "edge_bce": Case({}, _edge_bce, _edge_bce_reference),
    "distance_preservation": Case({}, _distances, _distances_reference),
    "angle_preservation": Case({}, _angles, _angles_reference),
    "curvature": Case({}, _curvature, _curvature_reference),
    "barlow_twins": Case({}, _barlow, _barlow_reference),
    "vicreg": Case({}, _vicreg, _vicreg_reference),
}
