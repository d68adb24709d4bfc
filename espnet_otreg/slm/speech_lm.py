"""A trained spoken language model for use from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from espnet_otreg.decoding.joint import JointWeights, ranked
from espnet_otreg.decoding.options import DecodingOptions, check_modes
from espnet_otreg.decoding.recognizer import Recognizer, SpeechBatch
from espnet_otreg.decoding.results import find_joint_weights
from espnet_otreg.errors import UserError
from espnet_otreg.slm.build import load_model
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.model_dir import read_model_values, resolve_here
from espnet_otreg.slm.speech_encoder import FeatureExtractor, feature_record, load_audio
from espnet_otreg.slm.waveform import SAMPLE_RATE, longest_samples

Audio = str | Path | NDArray[np.float32]


class SpeechLM:
    """Transcribes recordings; made by :meth:`from_pretrained`.

    Args:
        model: in evaluation mode.
        extractor: makes the features of a model that does not read waveforms.
        weights: of joint decoding.
        options: of all ways of decoding.

    ::

        model = SpeechLM.from_pretrained("exp/mini/otreg_s1/packed/model")
        print(model.transcribe("a.wav", language="it"))
    """

    def __init__(
        self,
        model: SpokenLanguageModel,
        extractor: FeatureExtractor | None,
        weights: JointWeights,
        options: DecodingOptions,
    ) -> None:
        self.model = model
        self._extractor = extractor
        self._weights = weights
        self._recognizer = Recognizer(model, options)

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        checkpoint: str | None = None,
        encoder: str | None = None,
        device: str = "cpu",
        options: DecodingOptions | None = None,
    ) -> SpeechLM:
        """Load a model.

        Args:
            directory: a training directory, or one packed by stage 14.
            checkpoint: file in it; by default the averaged, the best or the latest one.
            encoder: directory or hub name of the encoder, if it has moved.
            device: where the model runs.
            options: of decoding.

        Raises:
            UserError: if a part is missing, damaged or another one than in training.
        """
        directory = Path(directory)
        model = load_model(directory, checkpoint, device)
        extractor = None
        if model.config.encoder == "precomputed":
            record = feature_record(directory, read_model_values(directory))
            if record is None:
                raise UserError(
                    "nobody knows which encoder made the features of this model",
                    str(directory),
                    "run in the recipe's directory, or pack the model there (stage 14)",
                )
            extractor = FeatureExtractor(resolve_here(record, directory), encoder, device)
        weights = find_joint_weights(directory) or JointWeights()
        return cls(model, extractor, weights, options or DecodingOptions())

    def transcribe(
        self, audio: Audio | Sequence[Audio], language: str, mode: str | None = None
    ) -> str | list[str]:
        """The transcript of a recording, or those of several.

        Args:
            audio: a file (WAV, FLAC, Ogg, MP3, ...; any rate, channels are averaged) or its
                samples (N,) at 16 kHz; or a list of these, decoded together.
            language: ISO-639-1 code of what is spoken; it chooses the prompt.
            mode: ``"ctc"``, ``"llm"``, ``"sample"`` or ``"joint"``; by default joint where the
                model has a CTC read-out, else the LLM.

        Returns:
            One text, or a list of texts if ``audio`` is a list.

        Raises:
            UserError: if a recording cannot be read or is too long for the encoder.
        """
        several = isinstance(audio, Sequence) and not isinstance(audio, str)
        extractor = self._extractor
        longest = longest_samples(self.model) if extractor is None else extractor.max_samples
        waveforms = [
            load_audio(item, longest)
            for item in cast("Sequence[Audio]", audio if several else [audio])
        ]
        mode = mode or ("joint" if self.model.readout is not None else "llm")
        check_modes([mode], self._recognizer.options)
        if self._extractor is not None:
            speech, lengths = self._extractor(waveforms)
        else:
            speech = pad_sequence(waveforms, batch_first=True)
            lengths = torch.tensor([len(waveform) for waveform in waveforms])
        device = self.model.projector.gain.device
        seconds = [len(waveform) / SAMPLE_RATE for waveform in waveforms]
        languages = [language] * len(waveforms)
        batch = SpeechBatch(speech.to(device), lengths.to(device), languages, seconds)
        found = self._recognizer([batch], [mode])
        if mode == "joint":
            best = [ranked(candidates, self._weights)[0] for candidates in found.candidates]
        else:
            best = [hypotheses[0] for hypotheses in found.hypotheses[mode]]
        texts = [hypothesis.text for hypothesis in best]
        return texts if several else texts[0]
