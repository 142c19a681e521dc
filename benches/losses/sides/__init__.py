"""One module a library, each with a function for each kind of case that it can do.

A function takes the case's inputs and the number of threads and returns what is to be timed: the
value with the gradients of all embeddings, or a matrix of similarities.
"""

import importlib

from environment import why_missing

# What pip installs for a side; torch.compile needs no more than torch.
REQUIREMENTS = {
    "torch": ("torch==2.15.0",),
    "jax": ("jax==0.10.2", "optax"),
    "pml": ("pytorch-metric-learning==2.9.0",),
    "scipy": ("scipy==1.17.1",),
    "simsimd": ("simsimd==6.5.16",),
}

MODULES = {
    "ours": "ours",
    "torch": "torch_",
    "compile": "torch_compile",
    "jax": "jax_",
    "pml": "pml",
    "scipy": "scipy_",
    "simsimd": "simsimd_",
    "sgemm": "sgemm",
}


def maker(side, kind):
    """Return the side's function; ImportError, with pip's reason, where its library is missing."""
    try:
        return getattr(importlib.import_module(f"{__name__}.{MODULES[side]}"), kind)
    except ImportError as error:
        name = "torch" if side == "compile" else side
        raise ImportError(why_missing(name, error)) from error
