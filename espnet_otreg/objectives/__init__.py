"""What a training minimises: one small configuration class and one module each, named in YAML.

Importing this package imports no torch; building or applying an objective does.
"""

from espnet_otreg.objectives.base import Objective, ObjectiveConfig, ObjectiveOutput
from espnet_otreg.objectives.registry import (
    NamedObjective,
    parse_objective,
    register_objective,
)
from espnet_otreg.objectives.supervised import SupervisedConfig

__all__ = [
    "NamedObjective",
    "Objective",
    "ObjectiveConfig",
    "ObjectiveOutput",
    "SupervisedConfig",
    "parse_objective",
    "register_objective",
]
