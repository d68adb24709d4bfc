"""Optimal transport across the life of a spoken language model, as an ESPnet2 plugin."""

__version__ = "0.1.0"
