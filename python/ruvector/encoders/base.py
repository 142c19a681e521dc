"""What every encoder offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.autograd import Variable
from ruvector.errors import CorruptFileError, InvalidArgumentError
from ruvector.graph import Graph
from ruvector.smoothing import Features, as_features

__all__ = ["Encoder", "Weights", "encoder_from_config"]

#: An encoder's arrays by name: what is trained and what it keeps besides.
Weights = dict[str, npt.NDArray[np.float32]]

_KINDS: dict[str, type[Encoder]] = {}


@dataclass(frozen=True)
class Encoder(ABC):
    """A function from a graph and features to embeddings.

    An encoder is its settings; the weights are passed in. ``trainable`` names the arrays that
    gradients change, the others (a feature basis, column means) are found once.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _KINDS[cls.__name__] = cls

    @property
    @abstractmethod
    def trainable(self) -> tuple[str, ...]:
        """Names of the weights that gradients change."""

    @abstractmethod
    def initialize(self, graph: Graph, features: Features, *, seed: int) -> Weights:
        """Return weights to start from."""

    @abstractmethod
    def inputs(self, weights: Weights, graph: Graph, features: Features) -> Any:
        """Return what :meth:`forward` reads of one graph and can be computed beforehand."""

    @abstractmethod
    def forward(
        self,
        variables: Mapping[str, Variable],
        inputs: Any,
        *,
        rows: npt.NDArray[np.int64] | None = None,
        rng: np.random.Generator | None = None,
    ) -> Variable:
        """Return embeddings of all nodes, or of `rows`, as a variable to differentiate.

        `rng` is given in training alone: what is random, such as dropout, draws from it.
        """

    def finish(self, weights: Weights, graph: Graph, features: Features) -> Weights:
        """Return weights with what is read off the training graph once training is over."""
        del graph, features
        return weights

    @abstractmethod
    def output(self, weights: Weights, graph: Graph, features: Features) -> npt.NDArray[np.float32]:
        """Return the embeddings of finished weights; `features` come from :func:`as_features`."""

    def embed(
        self, weights: Mapping[str, npt.NDArray[Any]], graph: Graph, features: object | None = None
    ) -> npt.NDArray[np.float32]:
        """Embed the nodes of `graph`, which need not be the graph of the training.

        Parameters
        ----------
        weights : mapping of str to ndarray
            From a finished training.
        graph : Graph
            With n nodes.
        features : array_like of shape (n, f), CSR or SciPy sparse matrix, optional
            With the columns of the training; None for a model trained without features, whose
            number of nodes must then be the same.

        Returns
        -------
        ndarray of shape (n, d), float32
        """
        matrix = as_features(graph, features)
        expected = self.num_features(dict(weights))
        if matrix.shape[1] != expected:
            what = "the graph has" if features is None else "features has"
            unit = "nodes" if features is None else "columns"
            raise InvalidArgumentError(
                f"{what} {matrix.shape[1]} {unit} but the model was trained on {expected}"
            )
        return self.output(dict(weights), graph, matrix)

    @abstractmethod
    def num_features(self, weights: Weights) -> int:
        """Return how many columns the features of the training had."""

    def config(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, for :func:`encoder_from_config`."""
        return {"kind": type(self).__name__, **asdict(self)}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Encoder:
        """Return an encoder of this kind; the reverse of :meth:`config`."""
        return cls(**settings)


def encoder_from_config(config: Mapping[str, Any]) -> Encoder:
    """Return the encoder whose :meth:`Encoder.config` is given."""
    settings = dict(config)
    kind = settings.pop("kind", None)
    if kind not in _KINDS:
        raise CorruptFileError(
            f"the encoder is {kind!r}, which this version of ruvector does not know"
        )
    try:
        return _KINDS[kind].from_settings(settings)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"the settings of encoder {kind} do not fit it ({error})") from None
