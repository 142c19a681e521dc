"""Node embeddings of Cora beside PyG's: processor time of one thread, peak memory and accuracy.

    python benches/graphs_beside_pyg.py [--seeds 1] [--only pyg-cca cca ...] [GRAPH.npz]

Needs PyTorch and torch_geometric in the environment; they are no dependencies. `pyg-cca` is CCA-SSG
(Zhang et al. 2021) on PyG's GCNConv with the paper's settings for Cora, `pyg-dgi` PyG's example of
DeepGraphInfomax; `cca` and `dgi` are ours with the same widths and epochs, `embed` is the recipe
`ruvector.embed(graph, features, task="node")`. Each runs in a process of its own. Time goes from
arrays to embeddings without imports, memory is the process's peak until then with imports, and
accuracy is that of one linear probe for all, on the graph's own split.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"
WIDTH, CCA_EPOCHS, DGI_EPOCHS = 512, 50, 300


def arrays(path):
    """Return both directions of every edge, dense features of 0 and 1, and their number of rows."""
    file = np.load(path)
    edges = file["edges"].astype(np.int64)
    x = np.zeros(file["feat_shape"], np.float32)
    rows = np.repeat(np.arange(len(x)), np.diff(file["feat_indptr"]))
    x[rows, file["feat_indices"].astype(np.int64)] = 1
    return np.concatenate([edges, edges[:, ::-1]]).T.copy(), x


def _tensors(path, seed):
    import torch  # noqa: PLC0415 - a child imports what it needs alone

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    edges, x = arrays(path)
    return torch, torch.from_numpy(edges), torch.from_numpy(x)


def pyg_cca(path, seed):
    import torch  # noqa: PLC0415
    from torch_geometric.nn import GCNConv  # noqa: PLC0415
    from torch_geometric.utils import dropout_edge  # noqa: PLC0415

    class Encoder(torch.nn.Module):
        def __init__(self, columns):
            super().__init__()
            self.first, self.second = GCNConv(columns, WIDTH), GCNConv(WIDTH, WIDTH)

        def forward(self, x, edges):
            return self.second(self.first(x, edges).relu(), edges)

    def run():
        _, edges, x = _tensors(path, seed)
        x = x / x.sum(1, keepdim=True).clamp(min=1)
        model = Encoder(x.shape[1])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        identity = torch.eye(WIDTH)
        for _ in range(CCA_EPOCHS):
            views = []
            for _ in range(2):
                kept = (torch.rand(x.shape[1]) >= 0.1).float()
                z = model(x * kept, dropout_edge(edges, p=0.4)[0])
                views.append((z - z.mean(0)) / z.std(0))
            first, second = views
            loss = -(first * second).sum() / len(x)
            for z in views:
                loss = loss + 1e-3 * (identity - z.T @ z / len(x)).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            return model(x, edges).numpy()

    return run


def pyg_dgi(path, seed):
    import torch  # noqa: PLC0415
    from torch_geometric.nn import DeepGraphInfomax, GCNConv  # noqa: PLC0415

    class Encoder(torch.nn.Module):
        def __init__(self, columns):
            super().__init__()
            self.conv = GCNConv(columns, WIDTH, cached=True)
            self.prelu = torch.nn.PReLU(WIDTH)

        def forward(self, x, edges):
            return self.prelu(self.conv(x, edges))

    def run():
        _, edges, x = _tensors(path, seed)
        model = DeepGraphInfomax(
            hidden_channels=WIDTH,
            encoder=Encoder(x.shape[1]),
            summary=lambda z, *_, **__: z.mean(dim=0).sigmoid(),
            corruption=lambda x, edges: (x[torch.randperm(len(x))], edges),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(DGI_EPOCHS):
            optimizer.zero_grad()
            model.loss(*model(x, edges)).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            return model(x, edges)[0].numpy()

    return run


def _ours(make):
    def prepare(path, seed):
        import ruvector  # noqa: PLC0415

        return lambda: make(ruvector, ruvector.Graph.load_npz(path), seed)

    return prepare


def cca(ruvector, graph, seed):
    objective = ruvector.ViewCorrelation(edge_drop=0.4, feature_drop=0.1)
    encoder = ruvector.encoders.GCN(dims=(WIDTH, WIDTH))
    trainer = ruvector.Trainer(encoder, objective, epochs=CCA_EPOCHS, seed=seed)
    return trainer.fit(graph, graph.features).embed()


def dgi(ruvector, graph, seed):
    encoder = ruvector.encoders.GCN(dims=(WIDTH,), activation="prelu", activate_last=True)
    objective = ruvector.objectives.DeepGraphInfomax()
    trainer = ruvector.Trainer(encoder, objective, epochs=DGI_EPOCHS, seed=seed)
    return trainer.fit(graph, graph.features).embed()


def embed(ruvector, graph, seed):
    return ruvector.embed(graph, graph.features, task="node", seed=seed)


SIDES = {
    "pyg-cca": pyg_cca,
    "cca": _ours(cca),
    "pyg-dgi": pyg_dgi,
    "dgi": _ours(dgi),
    "embed": _ours(embed),
}


def child(side, path, seed):
    run = SIDES[side](path, seed)
    started = time.process_time()
    z = run()
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    import ruvector  # noqa: PLC0415 - not before the peak is read

    graph = ruvector.Graph.load_npz(path)
    masks = (graph.train_mask, graph.val_mask, graph.test_mask)
    accuracy = 100 * ruvector.linear_probe(z, graph.labels, *masks).accuracy
    return {"seconds": seconds, "mebibytes": peak, "accuracy": accuracy}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("RUVECTOR_DATA", DEFAULT))
    parser.add_argument("graph", nargs="?", default=str(data / "cora.npz"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given.child[0], given.graph, int(given.child[1]))))
        return
    names = ("RUVECTOR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, "1")}
    print("| side | probe % | CPU s | peak MiB |\n|---|---|---|---|")
    for side in given.only:
        runs = []
        for seed in range(given.seeds):
            command = [sys.executable, __file__, given.graph, "--child", side, str(seed)]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        accuracies = [run["accuracy"] for run in runs]
        figure = f"{statistics.mean(accuracies):.2f} ± {statistics.pstdev(accuracies):.2f}"
        seconds, peak = (
            statistics.median(run[name] for run in runs) for name in ("seconds", "mebibytes")
        )
        print(f"| {side} | {figure} | {seconds:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
