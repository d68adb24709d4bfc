"""Audio to what a model reads: its own encoder, or the one that made its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from espnet_otreg.data.audio import read_mono
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json
from espnet_otreg.models_offline.directory import model_directory, weights_sha256
from espnet_otreg.slm.features import load_encoder
from espnet_otreg.slm.waveform import SAMPLE_RATE

FEATURES = "feats.json"


def feature_record(directory: Path, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is known of the encoder that made a model's features; None if that is nothing.

    Args:
        directory: of the model; a packed one has ``feats.json``.
        values: its configuration; that of a training names the directory of the features.
    """
    places = [directory / FEATURES]
    sources = values.get("train_data_path_and_name_and_type") or []
    places += [Path(path).parent / FEATURES for path, name, _ in sources if name == "speech"]
    for place in places:
        if place.is_file():
            record: dict[str, Any] = read_json(place)
            return record if "encoder_sha256" in record else None
    return None


def load_audio(audio: str | Path | NDArray[np.float32]) -> Tensor:
    """Samples (N,) at 16 kHz; files of any rate and number of channels are converted.

    Raises:
        UserError: if a file is no audio, empty or damaged.
    """
    if isinstance(audio, (str, Path)):
        audio = read_mono(audio, SAMPLE_RATE, mix_channels=True)
    samples = np.asarray(audio, dtype=np.float32)
    if samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
        raise UserError("expected finite samples of one channel at 16 kHz", "audio")
    return torch.from_numpy(samples.copy())


class FeatureExtractor:
    """The frozen encoder of a model that reads features.

    Args:
        record: content of ``feats.json``.
        encoder: directory or hub name, if it is not where the record says.
        device: where it runs.

    Raises:
        UserError: if the encoder is not there, or has other weights than the features' maker.
    """

    def __init__(self, record: Mapping[str, Any], encoder: str | None, device: str) -> None:
        directory = model_directory(encoder or str(record["encoder"]))
        if weights_sha256(directory) != record["encoder_sha256"]:
            raise UserError(
                "this is not the encoder that made the features of this model",
                str(directory),
                f"its weights must have the sha256 {record['encoder_sha256']}",
            )
        silence, dtype = float(record["trailing_silence"]), str(record["dtype"])
        self._encoder = load_encoder(str(directory), silence, dtype, device)

    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(N,) waveforms to features (B, T, D) and their numbers (B,)."""
        device = next(self._encoder.parameters()).device
        lengths = torch.tensor([len(waveform) for waveform in waveforms], device=device)
        features, frames = self._encoder(pad_sequence(list(waveforms), True).to(device), lengths)
        return features.float(), frames
