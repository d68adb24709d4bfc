"""Entropic optimal transport between short, batched, variable-length sequences.

Cost -> plan: :func:`cosine_cost`, :func:`sinkhorn`, then what is read off a plan. The package
imports torch and the standard library only.
"""

from espnet_otreg.ot.costs import cosine_cost
from espnet_otreg.ot.plan import (
    Span,
    barycentric_projection,
    hard_alignment,
    row_entropy,
    spans,
)
from espnet_otreg.ot.sinkhorn import sinkhorn
from espnet_otreg.ot.solution import TransportSolution

__all__ = [
    "Span",
    "TransportSolution",
    "barycentric_projection",
    "cosine_cost",
    "hard_alignment",
    "row_entropy",
    "sinkhorn",
    "spans",
]
