"""ruvector's HNSW for ann-benchmarks."""

from ruvector import HNSW

from ..base.module import BaseANN


class Ruvector(BaseANN):
    def __init__(self, metric, method_param):
        self.metric = {"angular": "cosine", "euclidean": "l2"}[metric]
        self.method_param = method_param
        self.name = f"ruvector ({method_param})"

    def fit(self, X):  # noqa: N803
        parameters = dict(self.method_param)
        self.index = HNSW(
            X.shape[1],
            metric=self.metric,
            m=parameters.pop("M"),
            ef_construction=parameters.pop("efConstruction"),
            **parameters,
        )
        self.index.add(X)

    def set_query_arguments(self, ef):
        self.ef = ef
        self.name = f"ruvector ({self.method_param}, 'efQuery': {ef})"

    def query(self, v, n):
        ids, _, counts = self.index.search(v, n, ef=self.ef)
        return ids[0, : counts[0]]

    def batch_query(self, X, n):  # noqa: N803
        ids, _, counts = self.index.search(X, n, ef=self.ef)
        self.res = [row[:count] for row, count in zip(ids, counts, strict=True)]

    def get_batch_results(self):
        return self.res

    def done(self):
        del self.index
