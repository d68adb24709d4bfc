"""Losses that YAML can name: one small configuration class and one module each.

Importing this package imports no torch; building or applying a regularizer does.
"""

from espnet_otreg.regularizers.base import (
    AlignmentBatch,
    Regularizer,
    RegularizerConfig,
    RegularizerOutput,
    TokenReadout,
)
from espnet_otreg.regularizers.ctc import CTCConfig
from espnet_otreg.regularizers.divergence import DivergenceConfig
from espnet_otreg.regularizers.monge import MongeGapConfig
from espnet_otreg.regularizers.multigrained import MultigrainedConfig
from espnet_otreg.regularizers.otreg import OTRegConfig
from espnet_otreg.regularizers.registry import (
    NamedRegularizer,
    parse_regularizers,
    register_regularizer,
)

__all__ = [
    "AlignmentBatch",
    "CTCConfig",
    "DivergenceConfig",
    "MongeGapConfig",
    "MultigrainedConfig",
    "NamedRegularizer",
    "OTRegConfig",
    "Regularizer",
    "RegularizerConfig",
    "RegularizerOutput",
    "TokenReadout",
    "parse_regularizers",
    "register_regularizer",
]
