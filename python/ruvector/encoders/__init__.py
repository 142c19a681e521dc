"""Functions from a graph and features to embeddings, with weights that training finds."""

from ruvector.encoders.base import Encoder, Weights, encoder_from_config
from ruvector.encoders.concat import Concat
from ruvector.encoders.gcn import GCN
from ruvector.encoders.graphsage import GraphSAGE
from ruvector.encoders.knn_smoothed import KNNSmoothed
from ruvector.encoders.message_passing import LayeredEncoder, Messages
from ruvector.encoders.mlp import MLP, Linear
from ruvector.encoders.propagated import PropagatedLinear
from ruvector.encoders.ruvector_layer import RuvectorEncoder
from ruvector.encoders.smoothed import SmoothedLinear

__all__ = [
    "GCN",
    "MLP",
    "Concat",
    "Encoder",
    "GraphSAGE",
    "KNNSmoothed",
    "LayeredEncoder",
    "Linear",
    "Messages",
    "PropagatedLinear",
    "RuvectorEncoder",
    "SmoothedLinear",
    "Weights",
    "encoder_from_config",
]
