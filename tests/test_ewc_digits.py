"""EWC keeps what a perceptron learned, while it learns pairs of digits one after the other."""

import numpy as np
import pytest
from ruvector.autograd import Variable, backward, constant, loss_node, relu
from ruvector.encoders.layers import initial_weights, linear
from ruvector.losses import EWC, NodeClassificationLoss, fisher_diagonal
from ruvector.optim import Adam

PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]


def _tasks():
    """Train and test images of every pair, with the class within the pair."""
    x, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    x, order = (x / 16).astype(np.float32), np.random.default_rng(0).permutation(len(y))
    for pair in PAIRS:
        rows = order[np.isin(y[order], pair)]
        labels = (y[rows] == pair[1]).astype(np.int64)
        cut = len(rows) * 2 // 3
        yield (x[rows[:cut]], labels[:cut]), (x[rows[cut:]], labels[cut:])


def _logits(variables, x, task):
    hidden = relu(linear(constant(x), variables["a"], variables["b"]))
    return linear(hidden, variables[f"c{task}"], variables[f"d{task}"])


def _gradients(weights, x, labels, task):
    variables = {name: Variable(array) for name, array in weights.items()}
    logits = _logits(variables, x, task)
    backward(loss_node(NodeClassificationLoss(reduction="sum"), [logits], labels=labels))
    return {name: v.grad for name, v in variables.items() if v.grad is not None}


def _fisher(weights, x, task, rng):
    """With labels that the model draws, one image at a time."""
    fixed = {name: constant(array) for name, array in weights.items()}
    logits = _logits(fixed, x, task).value
    ones = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])) > rng.random(len(x))
    return fisher_diagonal(
        _gradients(weights, x[i : i + 1], ones[i : i + 1].astype(np.int64), task)
        for i in range(len(x))
    )


def _run(strength, seed):
    """Share lost on average from the end of a task to the end of all; mean accuracy then."""
    heads = {f"c{t}": (16, 2) for t in range(5)} | {f"d{t}": (2,) for t in range(5)}
    weights = initial_weights({"a": (64, 16), "b": (16,), **heads}, seed=seed)
    ewc, rng, tasks = EWC(strength), np.random.default_rng(1), list(_tasks())
    optimizer, right_after = Adam(weights, lr=2e-2), []

    def accuracy(task):
        x, labels = tasks[task][1]
        fixed = {name: constant(array) for name, array in weights.items()}
        return (_logits(fixed, x, task).value.argmax(axis=1) == labels).mean()

    for task, ((x, labels), _) in enumerate(tasks):
        for _ in range(20):
            for rows in np.array_split(rng.permutation(len(x)), 4):
                gradients = _gradients(weights, x[rows], labels[rows], task)
                penalty = ewc.value_and_grad(weights).gradients
                total = {name: np.zeros_like(array) for name, array in weights.items()}
                for name, gradient in gradients.items():
                    total[name] += gradient / len(rows)
                for name, gradient in penalty.items():
                    total[name] += gradient
                optimizer.step(total)
        right_after.append(accuracy(task))
        if strength:
            fisher = _fisher(weights, x, task, rng)
            ewc.add_task({name: weights[name] for name in fisher}, fisher)
    now = [accuracy(task) for task in range(len(tasks))]
    return np.mean(np.subtract(right_after, now)[:-1]), np.mean(now)


def test_less_than_half_is_forgotten_of_split_digits():
    naive = np.mean([_run(0.0, seed) for seed in range(2)], axis=0)
    kept = np.mean([_run(1000.0, seed) for seed in range(2)], axis=0)
    assert naive[0] > 0.04  # else there would be nothing to keep
    assert kept[0] < naive[0] / 2
    assert kept[1] > naive[1]
