"""PyTorch, eager: the usual few lines with autograd."""

import torch
from torch.nn import functional

from ..cases import TEMPERATURE


def _infonce(anchors, positives, negatives):
    a, p, n = (functional.normalize(rows, dim=-1) for rows in (anchors, positives, negatives))
    near = (a * p).sum(-1, keepdim=True)
    far = torch.bmm(n, a[..., None])[..., 0]
    logits = torch.cat([near, far], 1) / TEMPERATURE
    return functional.cross_entropy(logits, torch.zeros(len(a), dtype=torch.long))


def _indexed(table, *numbers):
    return _infonce(*(table[rows] for rows in numbers))


def _clip(x, y):
    x, y = functional.normalize(x, dim=-1), functional.normalize(y, dim=-1)
    logits, own = x @ y.T / TEMPERATURE, torch.arange(len(x))
    both = functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)
    return both / 2


def _ntxent(x, y):
    z = functional.normalize(torch.cat([x, y]), dim=-1)
    logits = z @ z.T / TEMPERATURE
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)
    return functional.cross_entropy(logits, torch.arange(len(z)).roll(len(x)))


def _laplacian(z, ends):
    return (z[ends[:, 0]] - z[ends[:, 1]]).square().sum()


def step(loss, inputs, threads):
    """Return a call of the loss and its gradients to all inputs of floats."""
    torch.set_num_threads(threads)
    tensors = [torch.from_numpy(array) for array in inputs]
    leaves = [tensor.requires_grad_() for tensor in tensors if tensor.is_floating_point()]

    def call():
        for leaf in leaves:
            leaf.grad = None
        loss(*tensors).backward()

    return call


LOSSES = {
    "explicit": _infonce,
    "by_index": _indexed,
    "clip": _clip,
    "ntxent": _ntxent,
    "laplacian": _laplacian,
}


def explicit(inputs, threads):
    return step(_infonce, inputs, threads)


def by_index(inputs, threads):
    return step(_indexed, inputs, threads)


def clip(inputs, threads):
    return step(_clip, inputs, threads)


def ntxent(inputs, threads):
    return step(_ntxent, inputs, threads)


def laplacian(inputs, threads):
    return step(_laplacian, inputs, threads)


def cosine(inputs, threads):
    torch.set_num_threads(threads)
    one, many = (torch.from_numpy(array) for array in inputs)
    return lambda: functional.cosine_similarity(one, many)
