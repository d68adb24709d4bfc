"""Which language is spoken, by the Whisper model whose encoder the model uses.

Whisper's decoder opens every transcript with a token for the language. Its probabilities after
``<|startoftranscript|>``, among the language tokens alone, say which one is spoken (Radford et al.,
"Robust Speech Recognition via Large-Scale Weak Supervision", 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.utils import logging as transformers_logging

from espnet_otreg.arguments import checked
from espnet_otreg.data.languages import canonical_language
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.inference.feature_extractor import feature_record
from espnet_otreg.models_offline.directory import model_directory
from espnet_otreg.slm.device import usable_device
from espnet_otreg.slm.encoders.registry import DEFAULT_ENCODER, encoder_class
from espnet_otreg.slm.model_dir import read_model_values, resolve_here
from espnet_otreg.slm.waveform import SAMPLE_RATE

_MEND = "give the language"


@checked
def whisper_directory(model_dir: str | Path, encoder: str | None = None) -> Path:
    """The Whisper model whose encoder a spoken language model hears with.

    Args:
        model_dir: a training or packed directory.
        encoder: directory or hub name of the encoder, if it has moved.

    Raises:
        UserError: if the model has another kind of encoder, or nobody knows which it has.
    """
    directory = Path(model_dir)
    values = read_model_values(directory)
    kind, name = encoder_class(values), None
    if kind.reads_features:
        record = feature_record(directory, values)
        name = encoder or (resolve_here(record, directory)["encoder"] if record else None)
    elif kind.has_language_tokens:
        name = (values.get("encoder_conf") or {}).get("model")
    if name is None:
        raise UserError(
            "the language cannot be identified: this model hears with no Whisper encoder"
            f" ({values.get('encoder') or DEFAULT_ENCODER})",
            str(directory),
            _MEND,
        )
    return model_directory(str(name))


class LanguageIdentifier:
    """Tells the languages of recordings with a multilingual Whisper model.

    Args:
        directory: local Hugging Face directory of it, decoder included.
        device: where it runs.

    Raises:
        UserError: if the model is no Whisper, or an English-only one, or its decoder is missing.

    ::

        identify = LanguageIdentifier(whisper_directory("exp/mini/otreg_s1"))
        [(language, probability)] = identify([waveform])
    """

    def __init__(self, directory: str | Path, device: str = "cpu") -> None:
        directory = Path(directory)
        kind = read_json(directory / "config.json").get("model_type")
        if kind != "whisper":
            raise _refusal(directory, f"a model of type {kind} has no language tokens")
        transformers_logging.disable_progress_bar()
        # Any: transformers types its modules loosely.
        self._model: Any = _load(directory)
        tokens = getattr(self._model.generation_config, "lang_to_id", None)
        if not tokens:
            raise _refusal(
                directory,
                "its generation_config.json lists no language tokens, as with English-only models",
            )
        self._languages = [canonical_language(token.strip("<|>")) for token in tokens]
        self._ids = list(tokens.values())
        config = self._model.config
        self._samples = config.max_source_positions * 2 * 160  # 30 s
        self._extractor = WhisperFeatureExtractor(feature_size=config.num_mel_bins)
        self._model.eval()
        self._model.to(usable_device(device))

    @torch.inference_mode()
    def probabilities(self, waveform: Sequence[float] | np.ndarray) -> dict[str, float]:
        """The probability of every language that the model knows.

        Args:
            waveform: (N,) samples at 16 kHz in [-1, 1]; the first 30 s are heard.

        Raises:
            UserError: if there is no sample, or one is not finite.
        """
        samples = np.asarray(waveform, dtype=np.float32)
        if samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
            raise UserError("expected finite samples of one channel at 16 kHz", "audio")
        features = self._extractor(
            samples,
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            max_length=self._samples,
            truncation=True,
        ).input_features
        start = self._model.generation_config.decoder_start_token_id
        logits = self._model(
            features.to(self._model.device, self._model.dtype),
            decoder_input_ids=torch.tensor([[start]], device=self._model.device),
        ).logits[0, -1, self._ids]
        found: dict[str, float] = {}
        for language, share in zip(self._languages, logits.double().softmax(-1), strict=True):
            found[language] = found.get(language, 0.0) + float(share)
        return found

    def __call__(self, waveforms: Sequence[Any]) -> list[tuple[str, float]]:
        """The most probable language of each recording, with its probability.

        Recordings are heard one by one, so none depends on the others; of equally probable
        languages the first of the alphabet is taken.

        Args:
            waveforms: (N,) samples each; see :meth:`probabilities`.

        Raises:
            UserError: as :meth:`probabilities`.
        """
        best = []
        for waveform in waveforms:
            shares = self.probabilities(waveform)
            language = min(shares, key=lambda code: (-shares[code], code))
            best.append((language, shares[language]))
        return best


def _load(directory: Path) -> Any:
    load: Any = WhisperForConditionalGeneration.from_pretrained
    try:
        model, report = load(directory, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise UserError(f"no Whisper model could be loaded ({reason})", str(directory)) from error
    if report["missing_keys"]:
        raise _refusal(directory, f"{min(report['missing_keys'])} is not among its weights")
    return model


def _refusal(directory: Path, reason: str) -> UserError:
    return UserError(f"the language cannot be identified: {reason}", str(directory), _MEND)
