"""The frozen encoder that made the features of a model, making features of recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from espnet_otreg.errors import UserError
from espnet_otreg.features.encode import load_encoder
from espnet_otreg.files import read_json
from espnet_otreg.models_offline.directory import model_directory, weights_sha256

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
        layer = record.get("layer")
        self._encoder = load_encoder(str(directory), silence, dtype, device, layer)

    @property
    def max_samples(self) -> int:
        """The most samples that a recording may have."""
        return int(self._encoder.max_samples)

    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(N,) waveforms to features (B, T, D) and their numbers (B,)."""
        device = next(self._encoder.parameters()).device
        lengths = torch.tensor([len(waveform) for waveform in waveforms], device=device)
        features, frames = self._encoder(pad_sequence(list(waveforms), True).to(device), lengths)
        return features.float(), frames
