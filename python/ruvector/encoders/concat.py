"""Several encoders side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_real
from ruvector.autograd import Variable
from ruvector.autograd import concat as concat_columns
from ruvector.encoders.base import Encoder, Weights, encoder_from_config
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.smoothing import Features

__all__ = ["Concat"]


@dataclass(frozen=True)
class Concat(Encoder):
    """The embeddings of several encoders side by side, each block at a chosen scale.

    Parameters
    ----------
    parts : tuple of Encoder
        What to join.
    scales : tuple of float
        The root mean square of each part's values in the result, up to a common factor that gives
        the whole a root mean square of 1 on the training graph.

    Notes
    -----
    The weights of part i are named ``"i.name"``.
    """

    parts: tuple[Encoder, ...]
    scales: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.parts or len(self.parts) != len(self.scales):
            raise InvalidArgumentError(
                f"parts has {len(self.parts)} encoders and scales {len(self.scales)} numbers; give "
                "one scale a part, and at least one"
            )
        for scale in self.scales:
            check_real(scale, "scales", low=0)

    @property
    def trainable(self) -> tuple[str, ...]:
        return tuple(f"{i}.{name}" for i, part in enumerate(self.parts) for name in part.trainable)

    def initialize(self, graph: Graph, features: Features, *, seed: int) -> Weights:
        # Equal parts that began alike would stay alike.
        seeds = [seed] + [
            int(np.random.SeedSequence(seed, spawn_key=(1, i)).generate_state(1)[0])
            for i in range(1, len(self.parts))
        ]
        return self.join(
            [
                part.initialize(graph, features, seed=own)
                for part, own in zip(self.parts, seeds, strict=True)
            ]
        )

    def join(self, weights: Sequence[Weights]) -> Weights:
        """Return the weights of the parts as weights of the whole, not yet finished."""
        joined = {
            f"{i}.{name}": array for i, part in enumerate(weights) for name, array in part.items()
        }
        return {**joined, "factors": np.ones(len(self.parts), np.float32)}

    def num_features(self, weights: Weights) -> int:
        return self.parts[0].num_features(_part(weights, 0))

    def inputs(self, weights: Weights, graph: Graph, features: Features) -> list[Any]:
        return [
            part.inputs(_part(weights, i), graph, features) for i, part in enumerate(self.parts)
        ]

    def forward(
        self,
        variables: Mapping[str, Variable],
        inputs: Any,
        *,
        rows: npt.NDArray[np.int64] | None = None,
        rng: np.random.Generator | None = None,
    ) -> Variable:
        return concat_columns(
            [
                part.forward(_part(variables, i), inputs[i], rows=rows, rng=rng)
                for i, part in enumerate(self.parts)
            ]
        )

    def finish(self, weights: Weights, graph: Graph, features: Features) -> Weights:
        finished = [
            part.finish(_part(weights, i), graph, features) for i, part in enumerate(self.parts)
        ]
        blocks = [
            part.output(own, graph, features)
            for part, own in zip(self.parts, finished, strict=True)
        ]
        sizes = [max(_root_mean_square(block), 1e-12) for block in blocks]
        factors = np.asarray(self.scales) / sizes
        total = sum(
            block.shape[1] * (share * (size > 1e-12)) ** 2
            for block, share, size in zip(blocks, self.scales, sizes, strict=True)
        )
        width = sum(block.shape[1] for block in blocks)
        factors *= np.sqrt(width / total) if total else 1.0
        return {**self.join(finished), "factors": factors.astype(np.float32)}

    def output(self, weights: Weights, graph: Graph, features: Features) -> npt.NDArray[np.float32]:
        blocks = [
            factor * part.output(_part(weights, i), graph, features)
            for i, (part, factor) in enumerate(zip(self.parts, weights["factors"], strict=True))
        ]
        return np.concatenate(blocks, axis=1)

    def config(self) -> dict[str, Any]:
        parts = [part.config() for part in self.parts]
        return {"kind": type(self).__name__, "parts": parts, "scales": list(self.scales)}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Concat:
        parts = tuple(encoder_from_config(part) for part in settings["parts"])
        return cls(parts, tuple(settings["scales"]))


def _part(arrays: Mapping[str, Any], number: int) -> dict[str, Any]:
    prefix = f"{number}."
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _root_mean_square(block: npt.NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(block, dtype=np.float64))))
