"""Optimal-transport losses for spoken language models, as an ESPnet2 plugin.

``SpeechLM`` (a trained model that transcribes) and ``SLMTask`` (ESPnet's task that trains one) are
imported when they are asked for: they need the packages of the extra ``espnet``, while the losses
in ``espnet_otreg.ot`` and ``espnet_otreg.regularizers`` need PyTorch, NumPy and PyYAML only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from espnet_otreg.inference.speech_lm import SpeechLM
    from espnet_otreg.tasks.slm import SLMTask

__version__ = "0.1.0"
__all__ = ["SLMTask", "SpeechLM", "__version__"]

_MODULES = {"SLMTask": "espnet_otreg.tasks.slm", "SpeechLM": "espnet_otreg.inference.speech_lm"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        from espnet_otreg.errors import missing_package

        raise ImportError(str(missing_package(error))) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
