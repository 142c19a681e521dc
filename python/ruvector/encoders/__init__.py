"""Functions from a graph and features to embeddings, with weights that training finds."""

from ruvector.encoders.base import Encoder, Weights, encoder_from_config
from ruvector.encoders.concat import Concat
from ruvector.encoders.propagated import PropagatedLinear
from ruvector.encoders.smoothed import SmoothedLinear

__all__ = [
    "Concat",
    "Encoder",
    "PropagatedLinear",
    "SmoothedLinear",
    "Weights",
    "encoder_from_config",
]
