"""The history of every loss and figure of a training."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ruvector.errors import CorruptFileError, InvalidArgumentError, InvalidTypeError
from ruvector.plots import losses
from ruvector.tracking.overfitting import Overfitting, find_overfitting
from ruvector.training import EpochRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LossTracker"]

_ORDER = ("loss/", "weight/", "metric/", "lr", "seconds")


class LossTracker:
    """Keeps what each epoch told; give it to a trainer as a callback, or its history afterwards.

    Names are ``"loss/total"``, ``"loss/…"`` and ``"weight/…"`` of each loss, ``"metric/…"`` of each
    validation figure, ``"lr"`` and ``"seconds"``. What an epoch does not have is NaN there.

    Parameters
    ----------
    records : iterable of EpochRecord
        Taken in at once, such as the history of a training that was resumed.

    Examples
    --------
    >>> from ruvector.tracking import LossTracker
    >>> from ruvector.training import EpochRecord
    >>> tracker = LossTracker()
    >>> tracker(EpochRecord(1, {"infonce": 2.0, "total": 2.0}, 0.1, {"auc": 0.8}))
    >>> tracker(EpochRecord(2, {"infonce": 1.5, "total": 1.5}, 0.1, {"auc": 0.9}))
    >>> tracker["loss/infonce"]
    array([2. , 1.5])
    >>> tracker.names
    ['loss/infonce', 'loss/total', 'metric/auc', 'seconds']
    """

    def __init__(self, records: Iterable[EpochRecord] = ()) -> None:
        self._epochs: list[int] = []
        self._rows: list[dict[str, float]] = []
        for record in records:
            self(record)

    def __call__(self, record: EpochRecord) -> None:
        """Take in an epoch; one that was told before is replaced."""
        if not isinstance(record, EpochRecord):
            raise InvalidTypeError(f"record is {record!r} but must be an EpochRecord")
        row = {f"loss/{name}": float(value) for name, value in record.losses.items()}
        row |= {f"weight/{name}": float(value) for name, value in record.weights.items()}
        row |= {f"metric/{name}": float(value) for name, value in record.metrics.items()}
        if record.lr is not None:
            row["lr"] = float(record.lr)
        row["seconds"] = float(record.seconds)
        self._add(record.epoch, row)

    def _add(self, epoch: int, row: dict[str, float]) -> None:
        if epoch in self._epochs:
            self._rows[self._epochs.index(epoch)] = row
            return
        at = int(np.searchsorted(self._epochs, epoch))
        self._epochs.insert(at, epoch)
        self._rows.insert(at, row)

    def __len__(self) -> int:
        return len(self._epochs)

    @property
    def epochs(self) -> npt.NDArray[np.int64]:
        """The epochs that were told, rising."""
        return np.array(self._epochs, dtype=np.int64)

    @property
    def names(self) -> list[str]:
        """Everything there is a history of: losses, weights, figures, the rest."""
        found = {name for row in self._rows for name in row}
        return sorted(found, key=lambda name: (_place(name), name))

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        """Return one value an epoch.

        Raises
        ------
        InvalidArgumentError
            No epoch has it.
        """
        if name not in self.names:
            raise InvalidArgumentError(f"there is no history of {name!r}, only of {self.names}")
        return np.array([row.get(name, np.nan) for row in self._rows])

    def overfitting(
        self, validation: str, *, train: str = "loss/total", **options: Any
    ) -> Overfitting | None:
        """Return where the named validation figure got worse while the training loss fell.

        Parameters
        ----------
        validation, train : str
            Names of histories.
        **options
            Of :func:`find_overfitting`. Positions in its result become epochs.
        """
        found = find_overfitting(self[train], self[validation], **options)
        if found is None:
            return None
        best, at = self._epochs[found.best], self._epochs[found.found]
        return Overfitting(best, at, found.gap)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line an epoch; numbers come back bit by bit, what is missing is empty."""
        names = self.names
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *names])
            for epoch, row in zip(self._epochs, self._rows, strict=True):
                writer.writerow([epoch, *(repr(row[n]) if n in row else "" for n in names)])

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> LossTracker:
        """Read what :meth:`to_csv` wrote.

        Raises
        ------
        CorruptFileError
            The file is something else, or damaged.
        """
        tracker = cls()
        try:
            with Path(path).open(newline="", encoding="utf-8") as file:
                lines = csv.reader(file)
                head, *names = next(lines)
                if head != "epoch":
                    raise ValueError(f"its first column is {head!r}")
                for epoch, *values in lines:
                    pairs = zip(names, values, strict=True)
                    tracker._add(int(epoch), {n: float(value) for n, value in pairs if value})
        except (ValueError, StopIteration, csv.Error) as error:
            raise CorruptFileError(
                f"{os.fspath(path)} is no table of a LossTracker ({error})"
            ) from None
        return tracker

    def to_tensorboard(self, folder: str | os.PathLike[str]) -> None:
        """Write every history as a scalar of TensorBoard; the step is the epoch.

        Needs tensorboardX (extra ``tensorboard``).
        """
        from tensorboardX import SummaryWriter  # noqa: PLC0415  (optional)

        with SummaryWriter(logdir=os.fspath(folder)) as writer:
            for epoch, row in zip(self._epochs, self._rows, strict=True):
                for name, value in row.items():
                    writer.add_scalar(name, value, epoch)

    def plot(self, names: Sequence[str] | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw histories over the epochs, as :func:`ruvector.plots.losses` does.

        Needs matplotlib (extra ``plots``).

        Parameters
        ----------
        names : sequence of str, optional
            All losses by default.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InvalidArgumentError
            No epoch has one of the names, or there are no epochs.
        """
        return losses(self, names, ax=ax)


def _place(name: str) -> int:
    return next((i for i, start in enumerate(_ORDER) if name.startswith(start)), len(_ORDER))
