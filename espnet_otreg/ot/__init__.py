"""Entropic optimal transport between short, batched, variable-length sequences.

Cost -> plan: :func:`cosine_cost`, :func:`sinkhorn` or :func:`sparse_transport`, then what is read
off a plan. Between point clouds: :func:`sinkhorn_divergence`; of a map: :func:`monge_gap`. The
package imports torch and the standard library only, and Triton on a GPU if it is there.
"""

from espnet_otreg.ot.alignment import Span, hard_alignment, monotonic_alignment, spans
from espnet_otreg.ot.costs import (
    cosine_cost,
    euclidean_cost,
    squared_euclidean_cost,
    with_position,
)
from espnet_otreg.ot.divergence import sinkhorn_divergence
from espnet_otreg.ot.monge import monge_gap
from espnet_otreg.ot.plan import (
    barycentric_projection,
    row_entropy,
    row_impurity,
    row_spread,
)
from espnet_otreg.ot.sinkhorn import sinkhorn
from espnet_otreg.ot.solution import TransportSolution
from espnet_otreg.ot.sparse import sparse_transport

__all__ = [
    "Span",
    "TransportSolution",
    "barycentric_projection",
    "cosine_cost",
    "euclidean_cost",
    "hard_alignment",
    "monge_gap",
    "monotonic_alignment",
    "row_entropy",
    "row_impurity",
    "row_spread",
    "sinkhorn",
    "sinkhorn_divergence",
    "spans",
    "sparse_transport",
    "squared_euclidean_cost",
    "with_position",
]
