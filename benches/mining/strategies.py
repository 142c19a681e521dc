"""What each strategy brings after equal training time: `python -m mining strategies` in benches/.

    cd benches && python -m mining.strategies [--data cora,photo,fashion] [--seeds 3] [--scale 1]
        [--save FIGURES.json] [--load FIGURES.json] [--draw FIGURE.svg]

A linear map is trained to put the ends of edges, or images of a class, next to each other. Every
strategy gets the same processor time of one thread, searching included, and the same loss of its
kind. Recall@10: of what should lie near a node or an image, at most 10, how much is among its 10
nearest. Links are the edges held out, known neighbours left aside; classes are the nodes, or the
training images, of the class of a node or test image. Folds of edges are cut out of the graph that
their ends are smoothed over, as `EdgeContrast` does it.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import ruvector
from ruvector import linalg
from ruvector.graph import Graph
from ruvector.losses import InfoNCELoss, LinkPredictionLoss, TripletLoss
from ruvector.mining import EdgeTripletMiner, HardNegativeMiner, TripletMiner, debiased_weights
from ruvector.optim import Adam
from ruvector.sampling import (
    GraphMiner,
    degree_negative_edges,
    hard_negative_edges,
    hops,
    random_negative_edges,
)
from ruvector.smoothing import smooth
from ruvector.splits import split_edges

DIM, BATCH, NEGATIVES, CANDIDATES = 128, 512, 16, 64
TEMPERATURE, RATE, REFRESH = 0.1, 0.001, 50
SECONDS = {"cora": 0.5, "photo": 0.8, "fashion": 4.0}
TITLES = {"cora": "Cora", "photo": "Amazon Photo", "fashion": "Fashion-MNIST"}
FILES = {"cora": "cora.npz", "photo": "amazon_photo.npz", "fashion": "fashion_mnist.npz"}
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def near(queries, rows, left_out=None):
    """The 10 nearest rows of each query by cosine, none that is left out."""
    found = HardNegativeMiner("hardest", k=10).mine(queries, rows, exclude=left_out)
    return found.indices


class Graphs:
    """Edges, some held out; inputs smoothed over the graph without each fold."""

    def __init__(self, name, seed, folds=2):
        data = Path(os.environ.get("RUVECTOR_DATA", BESIDE))
        self.split = split_edges(Graph.load_npz(data / FILES[name]), seed=seed)
        self.graph = self.split.train_graph
        rng = np.random.default_rng(seed)
        self.folds = np.array_split(rng.permutation(self.graph.num_edges), folds)
        features = self.graph.features

        def smoothed(graph):
            return smooth(graph, features, exponent=0.5, powers=8, seed=seed)

        self.inputs = [smoothed(self.graph.without_edges(np.sort(f))) for f in self.folds]
        self.whole = smoothed(self.graph)
        adjacency = self.graph.adjacency()
        self.exclude = adjacency.indptr, adjacency.indices
        self.far = None

    def positives(self, rng):
        """A table, anchors and positives."""
        fold = rng.integers(len(self.folds))
        ends = self.graph.edges[rng.choice(self.folds[fold], BATCH)]
        turned = rng.random(BATCH) < 0.5
        some = np.arange(BATCH)
        return self.inputs[fold], ends[some, turned * 1], ends[some, 1 - turned]

    def within(self, most):
        """Nodes within some hops, searched for once."""
        if self.far is None:
            self.far = hops(self.graph, most=most)
        return self.far

    def some_neighbours(self, rng, count=4):
        indptr, indices = self.exclude
        degrees = np.diff(indptr)[:, None]
        drawn = rng.integers(0, np.maximum(degrees, 1), (len(degrees), count))
        rows = np.minimum(indptr[:-1, None] + drawn, len(indices) - 1)
        return np.where(degrees > 0, indices[rows], -1)

    def recall(self, z):
        ends = np.concatenate([self.split.test, self.split.test[:, ::-1]])
        nodes, place, wanted = np.unique(ends[:, 0], return_inverse=True, return_counts=True)
        known = [np.append(self.graph.neighbors(node), node) for node in nodes]
        start = np.cumsum([0, *map(len, known)])
        found = near(z[nodes], z, (start, np.concatenate(known)))
        hits = np.zeros(len(nodes))
        np.add.at(hits, place, (found[place] == ends[:, 1:]).any(1))
        links = float((hits / np.minimum(wanted, 10)).mean())
        labels = self.graph.labels
        others = HardNegativeMiner("hardest", k=10).mine(z).indices
        return {"links": links, "classes": float((labels[others] == labels[:, None]).mean())}


class Images:
    """A part of Fashion-MNIST; positives share a class."""

    def __init__(self, name, seed, rows=8000, queries=2000):
        data = np.load(Path(os.environ.get("RUVECTOR_DATA", BESIDE)) / FILES[name])
        rng = np.random.default_rng(seed)

        def part(kind, count):
            chosen = rng.choice(len(data[f"y_{kind}"]), count, replace=False)
            images = data[f"x_{kind}"][chosen].reshape(count, -1).astype(np.float32) / 255
            return images, data[f"y_{kind}"][chosen].astype(np.int64)

        self.whole, self.labels = part("train", rows)
        self.queries, self.query_labels = part("test", queries)
        mean = self.whole.mean(0)
        self.whole, self.queries = self.whole - mean, self.queries - mean
        self.members = [np.flatnonzero(self.labels == label) for label in range(10)]

    def positives(self, rng):
        anchors = rng.integers(0, len(self.labels), BATCH)
        positives = [rng.choice(self.members[label]) for label in self.labels[anchors]]
        return self.whole, anchors, np.array(positives)

    def recall(self, z):
        found = near(linalg.matmul(self.queries, self.map), z)
        return {"classes": float((self.labels[found] == self.query_labels[:, None]).mean())}


class Strategy(NamedTuple):
    """Its kind of loss, and how it finds negatives from the problem, the embeddings and a seed."""

    kind: str
    title: str
    find: object
    debias: bool = False


def pool(strategy, *, far=None, **options):
    """Candidates of every row from all rows."""

    def find(problem, z, seed):
        miner = HardNegativeMiner(strategy, k=CANDIDATES, seed=seed, **options)
        if isinstance(problem, Images):
            given = {"labels": problem.labels}
        else:
            given = {"exclude": problem.exclude if far is None else problem.within(far)}
        if strategy == "semi_hard":
            rng = np.random.default_rng(seed)
            given["positives"] = (
                np.array([rng.choice(problem.members[label], 4) for label in problem.labels])
                if isinstance(problem, Images)
                else problem.some_neighbours(rng)
            )
        found = miner.mine(z, **given)
        return found.indices, found.counts

    return find


def by_hops(strategy="hardest", **options):
    def find(problem, z, seed):
        miner = GraphMiner(k=CANDIDATES, strategy=strategy, seed=seed, **options)
        found = miner.mine(z, problem.graph)
        return found.indices, found.counts

    return find


def random_edges(problem, _, seed):
    return random_negative_edges(problem.graph, problem.graph.num_edges, seed=seed).edges


def hard_edges(**options):
    return lambda problem, z, _: hard_negative_edges(problem.graph, z, k=8, **options).edges


def matched_edges(problem, _, seed):
    return degree_negative_edges(problem.graph, seed=seed).edges.reshape(-1, 2)


def edge_triplets(**options):
    def find(problem, z, seed):
        found = EdgeTripletMiner(k=4, seed=seed, **options).mine(z, problem.graph)
        return found.anchors, found.positives, found.negatives

    return find


def batch_triplets(strategy, **options):
    def find(problem, z, seed):
        rows = np.random.default_rng(seed).choice(len(z), 1000, replace=False)
        miner = TripletMiner(strategy, distance="cosine", **options)
        found = miner.mine(z[rows], problem.labels[rows])
        return rows[found.anchors], rows[found.positives], rows[found.negatives]

    return find


def random_triplets(problem, z, seed):
    rng = np.random.default_rng(seed)
    _, anchors, positives = problem.positives(rng)
    negatives = rng.integers(0, len(z), BATCH)
    fine = problem.labels[anchors] != problem.labels[negatives]
    return anchors[fine], positives[fine], negatives[fine]


POOL = [
    Strategy("InfoNCE", "uniform", pool("random")),
    Strategy("InfoNCE", "hardest", pool("hardest")),
    Strategy("InfoNCE", "hardest, band of 5 %", pool("hardest", skip=0.05)),
    Strategy("InfoNCE", "hardest, band of 20 %", pool("hardest", skip=0.2)),
    Strategy("InfoNCE", "semi-hard", pool("semi_hard")),
    Strategy("InfoNCE", "mixed", pool("mixed", skip=0)),
    Strategy("InfoNCE", "mixed, band of 5 %", pool("mixed", skip=0.05)),
    Strategy("InfoNCE", "by similarity, α 5", pool("distance_weighted", alpha=5.0)),
    Strategy("InfoNCE", "uniform, debiased", pool("random"), debias=True),
    Strategy("InfoNCE", "hardest, debiased", pool("hardest"), debias=True),
]
GRAPH = [
    Strategy("InfoNCE", "hardest beyond 3 hops", pool("hardest", far=3)),
    Strategy("InfoNCE", "at 2 to 3 hops", by_hops(most=3)),
    Strategy("InfoNCE", "at 2 to 3 hops, band of 20 %", by_hops(most=3, skip=0.2)),
    Strategy("InfoNCE", "at 2 to 3 hops, uniform", by_hops("random", most=3)),
    Strategy("InfoNCE", "no neighbours, band of 20 %", by_hops(skip=0.2)),
    Strategy("edges", "uniform", random_edges),
    Strategy("edges", "hard, beyond 2 hops", hard_edges(skip=0)),
    Strategy("edges", "hard, band of 20 %", hard_edges(skip=0.2)),
    Strategy("edges", "degree-matched", matched_edges),
    Strategy("triplets", "uniform", edge_triplets(strategy="random", skip=0)),
    Strategy("triplets", "hardest", edge_triplets(strategy="hardest", skip=0)),
    Strategy("triplets", "hardest, band of 5 %", edge_triplets(strategy="hardest", skip=0.05)),
    Strategy("triplets", "mixed, band of 5 %", edge_triplets(strategy="mixed", skip=0.05)),
]
IMAGE = [
    Strategy("triplets", "uniform", random_triplets),
    Strategy("triplets", "batch-hard", batch_triplets("batch_hard")),
    Strategy("triplets", "batch-hard, band of 5 %", batch_triplets("batch_hard", skip=0.05)),
    Strategy("triplets", "semi-hard", batch_triplets("semi_hard")),
]


def weighted_infonce(z, anchors, positives, negatives, prior):
    """InfoNCE whose negatives have the weights of debiasing, which gradients do not pass."""
    lengths = np.maximum(np.linalg.norm(z, axis=1), 1e-8)[:, None]
    unit = z / lengths
    a, others = unit[anchors], np.concatenate([positives[:, None], negatives], axis=1)
    b = unit[others]
    cosines = np.matmul(b, a[:, :, None])[:, :, 0]
    near = np.clip(cosines, -1, 1)
    weights = debiased_weights(near[:, 1:], near[:, 0], prior=prior, temperature=TEMPERATURE)
    share = np.exp((cosines - cosines.max(1, keepdims=True)) / TEMPERATURE)
    share[:, 1:] *= weights
    share /= share.sum(1, keepdims=True)
    share[:, 0] -= 1
    share /= TEMPERATURE * len(anchors)
    gradient = np.zeros_like(z)
    np.add.at(gradient, anchors, np.matmul(share[:, None], b)[:, 0])
    np.add.at(gradient, others, share[:, :, None] * a[:, None])
    gradient -= unit * (gradient * unit).sum(1, keepdims=True)
    return gradient / lengths


class Training:
    """One run of a strategy."""

    def __init__(self, problem, strategy, seed):
        self.problem, self.strategy, self.rng = problem, strategy, np.random.default_rng(seed)
        # Of smoothed features the columns that matter most come first.
        drawn = np.eye(problem.whole.shape[1], DIM)
        if isinstance(problem, Images):
            drawn = np.random.default_rng(seed).standard_normal(drawn.shape)
        self.weights = np.ascontiguousarray(np.linalg.qr(drawn)[0], np.float32)
        self.optimizer = Adam(self.weights, lr=RATE)
        # Share of a row's candidates that belong to it: known for classes, a guess on graphs.
        self.prior = 0.1 if isinstance(problem, Graphs) else 0.0
        self.found, self.steps = None, 0

    def run(self, seconds):
        start = time.process_time()
        while time.process_time() - start < seconds:
            if self.steps % REFRESH == 0:
                z = linalg.matmul(self.problem.whole, self.weights)
                self.found = self.strategy.find(self.problem, z, self.steps)
            table, *pairs = self.problem.positives(self.rng)
            z = linalg.matmul(table, self.weights)
            gradient = getattr(self, self.strategy.kind.lower())(z, *pairs)
            self.optimizer.step(linalg.matmul(table, gradient, transpose_a=True))
            self.steps += 1
        return self

    def infonce(self, z, anchors, positives):
        indices, counts = self.found
        some = counts[anchors] > 0
        anchors, positives = anchors[some], positives[some]
        columns = self.rng.integers(0, counts[anchors][:, None], (len(anchors), NEGATIVES))
        negatives = indices[anchors[:, None], columns]
        if self.strategy.debias:
            return weighted_infonce(z, anchors, positives, negatives, self.prior)
        loss = InfoNCELoss(temperature=TEMPERATURE)
        return loss.value_and_grad_indexed(z, anchors, positives, negatives).gradients.embeddings

    def edges(self, z, anchors, positives):
        chosen = self.found[self.rng.integers(0, len(self.found), 4 * len(anchors))]
        chosen = chosen[chosen[:, 0] >= 0]
        source, target = np.append(anchors, chosen[:, 0]), np.append(positives, chosen[:, 1])
        labels = np.arange(len(source)) < len(anchors)
        loss = LinkPredictionLoss(similarity="cosine", scale=10.0, bias=-5.0)
        return loss.value_and_grad(z, source, target, labels).gradients.embeddings

    def triplets(self, z, *_):
        chosen = self.rng.integers(0, len(self.found[0]), 4 * BATCH)
        rows = [part[chosen] for part in self.found]
        loss = TripletLoss(margin=0.3, distance="cosine")
        return loss.value_and_grad_indexed(z, *rows).gradients.embeddings

    def recall(self):
        self.problem.map = self.weights
        return self.problem.recall(linalg.matmul(self.problem.whole, self.weights))


def measure(name, seeds, scale, only=None):
    """Of every strategy its kind and title, its recalls and steps; again after every seed."""
    kind, strategies = (Images, POOL[:8] + IMAGE) if name == "fashion" else (Graphs, POOL + GRAPH)
    rows = [{"kind": "", "title": "before training", "recalls": [], "steps": []}]
    rows += [{"kind": s.kind, "title": s.title, "recalls": [], "steps": []} for s in strategies]
    for seed in range(seeds):
        problem = kind(name, seed)
        for strategy, row in zip([None, *strategies], rows, strict=True):
            if only and not row["title"].startswith(only):
                continue
            trained = Training(problem, strategy, seed)
            if strategy is not None:
                trained.run(SECONDS[name] * scale)
            row["recalls"].append(trained.recall())
            row["steps"].append(trained.steps)
        yield [row for row in rows if row["recalls"]]


def columns(results):
    """Data sets and what is sought in them."""
    return [(name, what) for name, rows in results.items() for what in rows[0]["recalls"][0]]


def order(results):
    """Kinds and titles of all strategies."""
    found = {(row["kind"], row["title"]): None for rows in results.values() for row in rows}
    return sorted(found, key=lambda row: ["", "InfoNCE", "edges", "triplets"].index(row[0]))


def recalls(results, column, strategy):
    """Those of one cell, over seeds."""
    name, what = column
    rows = [row for row in results[name] if (row["kind"], row["title"]) == strategy]
    return [recall[what] for row in rows for recall in row["recalls"]]


def table(results):
    """One line a strategy, one column what is sought: mean ± standard deviation; steps."""
    names = [f"{TITLES[name]}, {what}" for name, what in columns(results)]
    print("| loss | negatives |", " | ".join(names), "| steps |")
    print("| --- | --- |", " | ".join("---:" for _ in names), "| ---: |")
    for kind, title in order(results):
        cells = []
        for column in columns(results):
            values = recalls(results, column, (kind, title))
            told = f"{np.mean(values):.3f} ± {np.std(values):.3f}" if values else "–"
            cells.append(told)
        made = [
            f"{np.mean(row['steps']):,.0f}"
            for rows in results.values()
            for row in rows
            if (row["kind"], row["title"]) == (kind, title)
        ]
        print(f"| {kind} | {title} |", " | ".join(cells), "|", " / ".join(made), "|")


def main(given=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cora,photo,fashion")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="times the training time")
    parser.add_argument("--only", help="strategies, by the beginning of their name")
    parser.add_argument("--save", help="write the figures as JSON")
    parser.add_argument("--load", help="read them instead of training")
    parser.add_argument("--draw", help="draw them as SVG")
    options = parser.parse_args(given)
    ruvector.set_num_threads(1)
    results = {}
    if options.load:
        results = json.loads(Path(options.load).read_text(encoding="utf-8"))
    for name in () if options.load else options.data.split(","):
        for rows in measure(name, options.seeds, options.scale, options.only):
            results[name] = rows
            if options.save:
                text = json.dumps(results, indent=1) + "\n"
                Path(options.save).write_text(text, encoding="utf-8")
    table(results)
    if options.draw:
        from mining.figure import draw  # noqa: PLC0415

        draw(results, options.draw)


if __name__ == "__main__":
    main()
