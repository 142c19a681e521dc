"""One module a library, each with a class `Index`."""

import importlib

from environment import why_missing

# name of the peer: (module here, what pip installs)
PEERS = {
    "ruvector": ("ours", None),
    "ruvector-int8": ("ours_small", None),
    "hnswlib": ("hnswlib_", "hnswlib==0.8.0"),
    "rabitqlib": ("rabitqlib_", "rabitqlib==0.7.1"),
    "glass": ("glass_", "pyglass-portable==2.1.0"),
    "scann": ("scann_", "scann==1.4.2"),
    "faiss": ("faiss_", "faiss-cpu==1.15.1"),
    "usearch": ("usearch_", "usearch==2.26.6"),
    "voyager": ("voyager_", "voyager==2.2.3"),
    "svs": ("svs_", "scalable-vs==0.5.0"),
    "vsag": ("vsag_", "pyvsag==0.18.5"),
}


def adapter(name):
    """Return the peer's class; ImportError, with pip's reason, where its library is missing."""
    try:
        return importlib.import_module(f"{__name__}.{PEERS[name][0]}").Index
    except ImportError as error:
        raise ImportError(why_missing(name, error)) from error
