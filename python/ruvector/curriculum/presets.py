"""Ready lists of stages."""

from __future__ import annotations

import numpy as np

from ruvector.arrays import check_int
from ruvector.curriculum.stage import Stage

__all__ = ["default_stages", "linear_stages"]


def default_stages() -> tuple[Stage, ...]:
    """Return Easy, Medium and Hard: 10, 20 and 30 epochs, colder and with more negatives.

    Examples
    --------
    >>> from ruvector.curriculum import default_stages
    >>> [(stage.name, stage.epochs, stage.temperature) for stage in default_stages()]
    [('Easy', 10, 0.5), ('Medium', 20, 0.3), ('Hard', 30, 0.1)]
    """
    rows = (
        ("Easy", 10, 0.5, 5, (1.0, 0.5, 0.1, 0.5), 0.3),
        ("Medium", 20, 0.3, 10, (1.0, 0.3, 0.05, 0.3), 0.5),
        ("Hard", 30, 0.1, 20, (1.0, 0.1, 0.01, 0.1), 0.7),
    )
    losses = ("infonce", "local", "spectral", "reconstruction")
    return tuple(
        Stage(
            name,
            epochs=epochs,
            temperature=temperature,
            num_negatives=negatives,
            loss_weights=dict(zip(losses, weights, strict=True)),
            threshold=threshold,
        )
        for name, epochs, temperature, negatives, weights, threshold in rows
    )


def linear_stages(
    count: int,
    *,
    epochs: int,
    temperature: tuple[float, float] | None = None,
    num_negatives: tuple[int, int] | None = None,
    threshold: tuple[float, float] | None = None,
) -> tuple[Stage, ...]:
    """Return `count` stages whose settings go in equal steps from a first to a last value.

    Parameters
    ----------
    count : int
        Number of stages; a single one has the last values.
    epochs : int
        Length of each.
    temperature, num_negatives, threshold : (first, last), optional
        Those not given are left to the objective. Counts are rounded.

    Examples
    --------
    >>> from ruvector.curriculum import linear_stages
    >>> stages = linear_stages(3, epochs=5, temperature=(0.5, 0.1), num_negatives=(4, 16))
    >>> [(stage.name, stage.epochs, stage.num_negatives) for stage in stages]
    [('Stage 1', 5, 4), ('Stage 2', 5, 10), ('Stage 3', 5, 16)]
    """
    check_int(count, "count", low=1)

    def between(ends: tuple[float, float] | None) -> list[float | None]:
        if ends is None:
            return [None] * count
        first, last = ends
        shares = np.linspace(0, 1, count) if count > 1 else np.ones(1)
        return [float((1 - share) * first + share * last) for share in shares]

    return tuple(
        Stage(
            f"Stage {i + 1}",
            epochs=epochs,
            temperature=tau,
            num_negatives=None if negatives is None else round(negatives),
            threshold=hard,
        )
        for i, (tau, negatives, hard) in enumerate(
            zip(between(temperature), between(num_negatives), between(threshold), strict=True)
        )
    )
