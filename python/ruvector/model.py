"""A trained model in a folder: weights, embeddings, index, graph and what made them.

The folder holds ``model.json`` and one folder of data that it names. Saving writes new data
beside the old and then replaces ``model.json`` in one step, so that at every moment the folder
holds one whole model: the old one or the new.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector._core import __version__
from ruvector.arrays import MaybeNone
from ruvector.encoders import Encoder, encoder_from_config
from ruvector.errors import CorruptFileError, InvalidArgumentError, UnsupportedVersionError
from ruvector.graph import Graph
from ruvector.index import HNSW
from ruvector.safetensors import load_safetensors, save_safetensors
from ruvector.splits import EdgeSplit

__all__ = ["Model"]

FORMAT_VERSION = 1
_MANIFEST = "model.json"
_DATA_PREFIX = "data-"


@dataclass(frozen=True)
class Model:
    """What a training run leaves behind.

    Attributes
    ----------
    encoder : Encoder
        The function from a graph and features to embeddings.
    weights : dict of str to ndarray
        Its parameters.
    graph : Graph
        The whole graph, with features and labels where it has them.
    embeddings : ndarray of shape (n, d), float32
        Of every node, computed without the held-out edges.
    index : HNSW
        Over the embeddings; ids are node numbers.
    split : EdgeSplit or None
        Edges held out before training.
    details : dict
        Task, seed, seconds, memory and figures of the baselines; plain JSON values. Under
        ``"histories"`` a training may leave, by name, its epochs as ``EpochRecord.as_dict()``
        gives them, which reports draw.
    """

    encoder: Encoder
    weights: Mapping[str, npt.NDArray[Any]]
    graph: Graph
    embeddings: npt.NDArray[np.float32]
    index: HNSW
    split: EdgeSplit | MaybeNone = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model to `folder`, replacing a model that is there.

        Raises
        ------
        InvalidArgumentError
            `folder` holds files that are not a model.
        OSError
            The disk is full or may not be written; the old model stays.
        """
        import shutil  # noqa: PLC0415  (with its compressions a fiftieth of the package's import)

        root = Path(folder)
        check_target(root)
        root.mkdir(parents=True, exist_ok=True)
        data = root / f"{_DATA_PREFIX}{os.urandom(4).hex()}"
        manifest = {
            "format": "ruvector model",
            "format_version": FORMAT_VERSION,
            "versions": {
                "ruvector": __version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "data": data.name,
            "split": self.split is not None,
            "encoder": self.encoder.config(),
            "details": dict(self.details),
        }
        data.mkdir()
        try:
            save_safetensors(self.weights, data / "weights.safetensors")
            save_safetensors({"embeddings": self.embeddings}, data / "embeddings.safetensors")
            self.graph.save_npz(data / "graph.npz")
            if self.split is not None:
                save_safetensors(self.split.held_out(), data / "split.safetensors")
            self.index.save(data / "index.ruvector")
            _write_text(data / _MANIFEST, json.dumps(manifest, indent=2) + "\n")
            # The step that makes the new model the folder's.
            (data / _MANIFEST).replace(root / _MANIFEST)
        except BaseException:
            shutil.rmtree(data, ignore_errors=True)
            raise
        for other in root.glob(f"{_DATA_PREFIX}*"):
            if other != data:
                shutil.rmtree(other, ignore_errors=True)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Model:
        """Read the model that :meth:`save` wrote to `folder`.

        Raises
        ------
        FileNotFoundError
            There is no model.
        CorruptFileError, UnsupportedVersionError
            A file is damaged, or was written by a newer version.
        """
        root = Path(folder)
        manifest = _read_manifest(root)
        try:
            return cls._from_parts(root / manifest["data"], manifest)
        except FileNotFoundError as error:
            # Another process may have replaced the model since.
            if _read_manifest(root)["data"] != manifest["data"]:
                return cls.load(root)
            problem = f"{error.filename} is missing"
        except (CorruptFileError, UnsupportedVersionError):
            raise
        except (KeyError, TypeError, ValueError, IndexError) as error:
            problem = str(error)
        raise CorruptFileError(
            f"{root} is not a whole model ({problem}); restore it from a copy or train again"
        )

    @classmethod
    def _from_parts(cls, data: Path, manifest: Mapping[str, Any]) -> Model:
        graph = Graph.load_npz(data / "graph.npz")
        split = None
        if manifest["split"]:
            split = EdgeSplit.from_held_out(graph, load_safetensors(data / "split.safetensors"))
        embeddings = load_safetensors(data / "embeddings.safetensors")["embeddings"]
        index = HNSW.load(data / "index.ruvector")
        if embeddings.dtype != np.float32 or embeddings.shape != (graph.num_nodes, index.dim):
            raise ValueError(
                f"embeddings of shape {embeddings.shape} do not fit {graph.num_nodes} nodes and an "
                f"index of {index.dim} dimensions"
            )
        if len(index) != graph.num_nodes:
            raise ValueError(f"the index holds {len(index)} of {graph.num_nodes} nodes")
        return cls(
            encoder=encoder_from_config(manifest["encoder"]),
            weights=load_safetensors(data / "weights.safetensors"),
            graph=graph,
            embeddings=embeddings,
            index=index,
            split=split,
            details=dict(manifest["details"]),
        )


def check_target(folder: str | os.PathLike[str]) -> None:
    """Fail if a model may not be written to `folder` because something else is there."""
    root = Path(folder)
    if root.exists() and not root.is_dir():
        raise InvalidArgumentError(f"{root} is a file; name a folder for the model")
    if root.is_dir() and not (root / _MANIFEST).exists():
        others = [p.name for p in root.iterdir() if not p.name.startswith(_DATA_PREFIX)]
        if others:
            raise InvalidArgumentError(
                f"{root} holds {others[0]!r} and no model; name an empty or a new folder"
            )


def _read_manifest(root: Path) -> dict[str, Any]:
    path = root / _MANIFEST
    if root.is_file():
        raise InvalidArgumentError(
            f"{root} is a file but a model is a folder; an index has commands of its own, such as: "
            f"ruvector index info {root}"
        )
    if not path.exists():
        raise FileNotFoundError(
            f"{root} holds no model; make one with: ruvector train GRAPH -o {root}"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        known = manifest["format"] == "ruvector model" and type(version) is int and version >= 1
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFileError(f"{path} is not a model's description ({error})") from None
    if not known:
        raise CorruptFileError(f"{path} is not a model's description")
    if version > FORMAT_VERSION:
        raise UnsupportedVersionError(
            f"{path} has format version {version} but this version of ruvector reads up to "
            f"{FORMAT_VERSION}; upgrade ruvector to open it"
        )
    name = manifest.get("data")
    if not (isinstance(name, str) and name.startswith(_DATA_PREFIX) and Path(name).name == name):
        raise CorruptFileError(f"{path} names {name!r} as the folder of its data")
    return dict(manifest)


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
