"""Losses written in plain PyTorch from their papers' definitions, for autograd to differentiate.

Each takes the loss, its inputs as tensors and its keywords as in ``loss_cases``, and returns the
value of each item, with their weights where a mean divides by those, or a single value.
"""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cosine_similarity, cross_entropy, huber_loss, relu


def _tensor(array):
    return None if array is None else torch.as_tensor(array)


def _pos_weight(loss):
    return torch.tensor(loss.pos_weight, dtype=torch.float64)


def edge_reconstruction(loss, inputs, keywords):
    z = inputs["embeddings"]
    src, dst, far, off = map(torch.as_tensor, keywords.values())
    logits = torch.cat([(z[src] * z[dst]).sum(1), (z[far] * z[off]).sum(1)])
    labels = torch.cat([torch.ones(len(src)), torch.zeros(len(far))]).to(z)
    return bce(logits, labels, reduction="none", pos_weight=_pos_weight(loss))


def feature_reconstruction(loss, inputs, keywords):
    answer = torch.nn.functional.linear(inputs["embeddings"], inputs["weight"].T, inputs["bias"])
    target = _tensor(keywords["target"])
    if loss.form == "squared_error":
        return ((answer - target) ** 2).mean(1)
    if loss.form == "binary":
        weight = _pos_weight(loss)
        return bce(answer, target, reduction="none", pos_weight=weight).mean(1)
    return cross_entropy(answer, target, reduction="none")


def deep_graph_infomax(_, inputs, __):
    states, corrupted, weight, summary = inputs.values()
    summary = torch.sigmoid(states.mean(0)) if summary is None else summary
    logits = torch.cat([states, corrupted]) @ weight @ summary
    labels = torch.cat([torch.ones(len(states)), torch.zeros(len(corrupted))]).to(logits)
    return bce(logits, labels, reduction="none")


def _classes(logits, labels, class_weights, mask):
    labels, weights = torch.as_tensor(labels), _tensor(class_weights)
    if mask is not None:
        labels = torch.where(torch.as_tensor(mask), labels, -1)
    items = cross_entropy(logits, labels, weights, ignore_index=-1, reduction="none")
    each = torch.ones(logits.shape[1]).to(logits) if weights is None else weights
    return items, torch.where(labels >= 0, each[labels], 0.0)


def node_classification(_, inputs, keywords):
    return _classes(inputs["logits"], *keywords.values())


def graph_classification(loss, inputs, keywords):
    z, weight, bias = inputs.values()
    graphs = torch.as_tensor(keywords["graphs"])
    index = graphs[:, None].expand(z.shape)
    how = {"mean": "mean", "sum": "sum", "max": "amax"}[loss.pooling]
    pooled = z.new_zeros(len(keywords["labels"]), z.shape[1])
    pooled = pooled.scatter_reduce(0, index, z, how, include_self=False)
    logits = pooled if weight is None else torch.nn.functional.linear(pooled, weight.T, bias)
    return _classes(logits, keywords["labels"], keywords["class_weights"], None)


def edge_bce(loss, inputs, keywords):
    labels, mask = (_tensor(array) for array in keywords.values())
    weights = torch.ones_like(labels) if mask is None else mask.to(labels)
    each = bce(inputs["logits"], labels, reduction="none", pos_weight=_pos_weight(loss))
    return weights * each, weights


def _gaps(z, src, dst):
    return torch.linalg.vector_norm(z[torch.as_tensor(src)] - z[torch.as_tensor(dst)], dim=1)


def distance_preservation(loss, inputs, keywords):
    src, dst, wanted = keywords.values()
    wanted = torch.as_tensor(wanted)
    power = {"uniform": 0, "inverse": 1, "inverse_square": 2}[loss.weighting]
    return (_gaps(inputs["embeddings"], src, dst) - wanted) ** 2 / wanted**power


def angle_preservation(loss, inputs, keywords):
    z = inputs["embeddings"]
    *triples, wanted = map(torch.as_tensor, keywords.values())
    vertex, first, second = (rows.long() for rows in triples)
    cosines = cosine_similarity(z[first] - z[vertex], z[second] - z[vertex])
    if loss.penalty == "squared":
        return (cosines - wanted) ** 2
    return huber_loss(cosines, wanted, reduction="none")


def curvature(loss, inputs, keywords):
    src, dst, wanted, lengths = map(_tensor, keywords.values())
    lengths = torch.ones_like(wanted) if lengths is None else lengths
    wanted = loss.scale * lengths * relu(1 - loss.step * wanted)
    return (_gaps(inputs["embeddings"], src, dst) - wanted) ** 2


def _off_diagonal(square):
    return (square**2).sum() - (torch.diagonal(square) ** 2).sum()


def cca_ssg(loss, inputs, _):
    rows = len(inputs["first"])
    first, second = ((x - x.mean(0)) / x.std(0, correction=0) for x in inputs.values())
    one = torch.eye(first.shape[1]).to(first)
    apart = sum(((x.T @ x / rows - one) ** 2).sum() for x in (first, second))
    return -(first * second).sum() / rows + loss.decorrelation * apart


def barlow_twins(loss, inputs, _):
    first, second = ((x - x.mean(0)) / x.std(0, correction=0) for x in inputs.values())
    c = first.T @ second / len(first)
    return ((torch.diagonal(c) - 1) ** 2).sum() + loss.redundancy * _off_diagonal(c)


def vicreg(loss, inputs, _):
    first, second = inputs.values()
    total = loss.invariance * ((first - second) ** 2).mean()
    for x in (first, second):
        centred = x - x.mean(0)
        covariances = centred.T @ centred / max(len(x) - 1, 1)
        spread = torch.sqrt(torch.diagonal(covariances) + 1e-4)
        total = total + loss.variance * relu(loss.deviation - spread).mean()
        total = total + loss.covariance * _off_diagonal(covariances) / x.shape[1]
    return total


REFERENCES = {
    function.__name__: function
    for function in (
        edge_reconstruction,
        feature_reconstruction,
        deep_graph_infomax,
        node_classification,
        graph_classification,
        edge_bce,
        distance_preservation,
        angle_preservation,
        curvature,
        cca_ssg,
        barlow_twins,
        vicreg,
    )
}


def reduced(result, reduction):
    """Return the sum of the reference's items, or their mean as the loss defines it."""
    items, weights = result if isinstance(result, tuple) else (result, torch.ones_like(result))
    if not items.ndim:
        return items
    total = weights.sum()
    return items.sum() / (total if reduction == "mean" and total > 0 else 1)
