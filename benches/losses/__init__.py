"""Losses and similarities beside their peers: `make bench-losses`."""
