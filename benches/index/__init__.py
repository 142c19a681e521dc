"""HNSW beside the other nearest-neighbour libraries that pip installs: `make bench-index`."""
