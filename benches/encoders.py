"""Accuracy and cost of encoders trained from random weights on real graphs, over seeds.

    python benches/encoders.py [--seeds 5] [GRAPH.npz ...] [--runs gcn dgi ...]

Without graphs: Cora and CiteSeer from RUVECTOR_DATA or ../shared/data. The first four runs learn
from the public split's training labels and report the test nodes' accuracy in %; `dgi` and `cca`
are unsupervised and report a linear probe on that split, `gae` the AUC of 10 % held-out edges.
Settings are the papers' but for the weight decay, ten times Kipf and Welling's since rows of
features have length 1 here and not sum 1; it was chosen on validation nodes.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import ruvector
from ruvector.encoders import GCN, MLP, GraphSAGE, RuvectorEncoder
from ruvector.objectives import DeepGraphInfomax, NodeClassification, Reconstruction
from ruvector.optim import Adam

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"
SUPERVISED = {
    "gcn": lambda classes: GCN(dims=(16, classes), dropout=0.5),
    "sage": lambda classes: GraphSAGE(dims=(16, classes), dropout=0.5),
    "mlp": lambda classes: MLP(dims=(16, classes), dropout=0.5),
    "ruvector": lambda _: RuvectorEncoder(dims=(32, 32), dropout=0.5),
}


def classifier(weights):
    """Return Kipf and Welling's optimiser: weight decay on the first layer alone."""
    later = [name for name in weights if not name.startswith("0.")]
    return Adam(weights, lr=0.01, weight_decay=5e-3, no_decay=later)


def supervised(name, graph, seed):
    classes = int(graph.labels.max()) + 1
    encoder = SUPERVISED[name](classes)
    # Its layers have gates and learn in fewer steps.
    head, epochs = (True, 60) if name == "ruvector" else (False, 200)
    objective = NodeClassification(graph.labels, graph.train_mask, head=head)
    trainer = ruvector.Trainer(encoder, objective, epochs=epochs, optimizer=classifier, seed=seed)
    logits = trainer.fit(graph, graph.features).embed()
    if head:
        weights = trainer.weights
        logits = logits @ weights["objective.weight"] + weights["objective.bias"]
    correct = logits.argmax(axis=1) == graph.labels
    return 100 * correct[graph.test_mask].mean()


def unsupervised(name, graph, seed):
    if name == "dgi":
        encoder = GCN(dims=(512,), activation="prelu", activate_last=True)
        objective, epochs = DeepGraphInfomax(), 150
    else:
        encoder = GCN(dims=(512, 512))
        objective, epochs = ruvector.ViewCorrelation(edge_drop=0.4, feature_drop=0.2), 50
    trainer = ruvector.Trainer(encoder, objective, epochs=epochs, seed=seed)
    z = trainer.fit(graph, graph.features).embed()
    masks = (graph.train_mask, graph.val_mask, graph.test_mask)
    return 100 * ruvector.linear_probe(z, graph.labels, *masks).accuracy


def links(_, graph, seed):
    split = ruvector.split_edges(graph, seed=seed)
    trainer = ruvector.Trainer(
        GCN(dims=(32, 16)),
        Reconstruction(),
        epochs=200,
        optimizer=lambda weights: Adam(weights, lr=0.01),
        seed=seed,
    )
    z = trainer.fit(split.train_graph, graph.features).embed()
    return 100 * ruvector.evaluate_embeddings(z, graph, split=split)["link_auc"]


RUNS = dict.fromkeys(SUPERVISED, supervised) | {
    "dgi": unsupervised,
    "cca": unsupervised,
    "gae": links,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graphs", nargs="*")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    arguments = parser.parse_args()
    data = Path(os.environ.get("RUVECTOR_DATA", DEFAULT))
    paths = [Path(g) for g in arguments.graphs] or [data / f"{n}.npz" for n in ("cora", "citeseer")]
    print("| graph | run | figure | CPU seconds |")
    print("|---|---|---|---|")
    for path in paths:
        graph = ruvector.Graph.load_npz(path)
        for name in arguments.runs:
            figures, seconds = [], []
            for seed in range(arguments.seeds):
                started = time.process_time()
                figures.append(RUNS[name](name, graph, seed))
                seconds.append(time.process_time() - started)
            figure = f"{statistics.mean(figures):.2f} ± {statistics.pstdev(figures):.2f}"
            cost = statistics.median(seconds)
            print(f"| {path.stem} | {name} | {figure} | {cost:.2f} |", flush=True)


if __name__ == "__main__":
    main()
