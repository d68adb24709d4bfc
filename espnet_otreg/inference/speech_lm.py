"""A trained spoken language model for use from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from espnet_otreg.arguments import checked
from espnet_otreg.data.audio import speech_samples
from espnet_otreg.data.audio.source import is_source
from espnet_otreg.data.languages import AUTO
from espnet_otreg.decoding.encoded import SpeechBatch
from espnet_otreg.decoding.joint_weights import find_joint_weights
from espnet_otreg.decoding.modes import READOUT, Joint, Mode, configure_modes
from espnet_otreg.decoding.recognizer import Recognizer
from espnet_otreg.errors import UserError, sentence_for
from espnet_otreg.inference.feature_extractor import FeatureExtractor, feature_record
from espnet_otreg.slm.build import load_model
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.model_dir import check_model_directory, read_model_values, resolve_here
from espnet_otreg.slm.trained_languages import TrainedLanguages, resolve_languages
from espnet_otreg.slm.waveform import SAMPLE_RATE, longest_samples, refuse_too_long

# What is decoded together at most, so that a list of any length fits into memory.
BATCH_SECONDS, BATCH_SIZE = 240.0, 32

Identifier = Callable[[Sequence[Any]], list[tuple[str, float]]]


@dataclass(frozen=True)
class Transcript:
    """What was said in a recording.

    Attributes:
        text: of the recording.
        language: canonical code of the language that chose the prompt, or ``default``.
        seconds: duration of the recording.
        language_probability: of the language if it was identified, else None.
    """

    text: str
    language: str
    seconds: float
    language_probability: float | None = None


@dataclass(frozen=True)
class _Heard:
    """A recording that is ready to be decoded, and which one it is."""

    number: int
    waveform: Tensor
    language: str
    probability: float | None

    @property
    def seconds(self) -> float:
        return len(self.waveform) / SAMPLE_RATE


class SpeechLM:
    """Transcribes recordings; made by :meth:`from_pretrained`.

    Args:
        model: is set to evaluation mode.
        extractor: makes the features of a model that does not read waveforms.
        options: of any modes of decoding, by name; the others have their defaults.
        identifier: makes what identifies languages; called when it is needed first.

    ::

        model = SpeechLM.from_pretrained("exp/mini/otreg_s1/packed/model")
        print(model.transcribe("a.wav", language="it"))
        print(model.transcribe(["a.wav", "b.mp3"], language=["it", "auto"]))
    """

    def __init__(
        self,
        model: SpokenLanguageModel,
        extractor: FeatureExtractor | None,
        options: Mapping[str, Any],
        identifier: Callable[[], Identifier] | None = None,
    ) -> None:
        self.model = model.eval()
        self._extractor = extractor
        configure_modes(["llm"], options)  # or an error that names what is wrong in them
        self._options = dict(options)
        self._recognizer = Recognizer(model)
        self._make_identifier = identifier
        self._identifier: Identifier | None = None
        self._longest = longest_samples(model) if extractor is None else extractor.max_samples

    @classmethod
    @checked
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        checkpoint: str | None = None,
        encoder: str | None = None,
        device: str | torch.device = "cpu",
        options: Mapping[str, Any] | None = None,
    ) -> SpeechLM:
        """Load a model.

        Args:
            directory: a training directory, or one packed by stage 15.
            checkpoint: file in it; by default the one that the experiment uses, see
                :func:`espnet_otreg.slm.build.checkpoint_file`.
            encoder: directory or hub name of the encoder that made the features, if it has moved.
            device: where the model runs.
            options: of decoding, named as those of ``slm_decode``: ``{"num_beams": 4}``.

        Raises:
            UserError: if the directory holds no model, a part is missing, damaged or another one
                than in training, or the device cannot be used.
        """
        directory = check_model_directory(directory)
        device = str(device)
        model = load_model(directory, checkpoint, device)
        extractor = None
        if model.config.reads_features:
            record = feature_record(directory, read_model_values(directory))
            if record is None:
                raise UserError(
                    "nobody knows which encoder made the features of this model",
                    str(directory),
                    "run in the recipe's directory, or pack the model there (stage 15)",
                )
            extractor = FeatureExtractor(resolve_here(record, directory), encoder, device)
        elif encoder is not None:
            raise UserError(
                "this model has an encoder of its own", str(encoder), "leave this encoder out"
            )
        model.llm.merge_adapter()  # for good: nobody else has this model
        weights = find_joint_weights(directory)
        tuned = {} if weights is None else Joint.as_options(*weights)
        identifier = partial(_identifier, directory, encoder, device)
        return cls(model, extractor, {**tuned, **(options or {})}, identifier)

    def transcribe(
        self,
        audio: Any,
        language: str | Sequence[str] | None = None,
        mode: str | None = None,
    ) -> Any:
        """The transcript of a recording, or those of several.

        Args:
            audio: a path, bytes, or binary file (WAV, FLAC, Ogg, MP3, ...; any rate, channels are
                averaged); an array or tensor of samples (N,) at 16 kHz, integers being scaled by
                their type; ``{"array": ..., "sampling_rate": ...}`` or ``{"bytes": ...}`` as
                ``datasets`` give them; or a list, tuple or generator of these.
            language: what is spoken, by code or English name; it chooses the prompt. One for all
                recordings, or a list with one for each. ``"auto"`` identifies it, where the
                encoder is that of a multilingual Whisper model. May be left out if the model knows
                one language, or has one prompt for all.
            mode: ``"ctc"``, ``"llm"``, ``"joint"``, ``"sample"`` or ``"llm_no_speech"``; by
                default joint where the model has a CTC read-out, else the LLM.

        Returns:
            One text, or a list of texts in the order of the recordings if there are several.

        Raises:
            UserError: if a recording cannot be read or is too long for the encoder, or language or
                mode are not the model's.
        """
        several = is_several(audio)
        found = self.transcripts(list(audio) if several else [audio], language, mode)
        for number, one in enumerate(found, start=1):
            if isinstance(one, UserError):
                raise one if not several else _numbered(one, number, len(found))
        texts = [one.text for one in found if isinstance(one, Transcript)]
        return texts if several else texts[0]

    def transcripts(
        self,
        recordings: Sequence[Any],
        language: str | Sequence[str] | None = None,
        mode: str | None = None,
    ) -> list[Transcript | UserError]:
        """Texts with languages and durations, going on after a recording that is no good.

        Args:
            recordings, language, mode: as in :meth:`transcribe`.

        Returns:
            One for each recording, in their order; the error where it cannot be transcribed.

        Raises:
            UserError: if language or mode are not the model's.
        """
        mode, way = self._checked_mode(mode)
        trained = self.model.prompt.trained or TrainedLanguages(frozenset(), any_language=True)
        languages = resolve_languages(trained, language, len(recordings))
        if AUTO in languages:
            self._identify([])  # says before any work that it is not possible
        found: dict[int, Transcript | UserError] = {}

        def heard() -> Iterator[_Heard]:
            for number, (recording, name) in enumerate(zip(recordings, languages, strict=True)):
                try:
                    yield self._listen(number, recording, name, trained)
                except (UserError, OSError) as error:
                    found[number] = _as_user_error(error)

        for batch in _batches(heard()):
            found |= self._decode(batch, mode, way)
        return [found[number] for number in range(len(recordings))]

    def _checked_mode(self, name: str | None) -> tuple[str, Mode]:
        name = name if name is not None else "joint" if self.model.readout is not None else "llm"
        if not isinstance(name, str):
            raise UserError(f"expected the name of a mode, found {name!r}", "mode")
        mode = configure_modes([name], self._options)[name]
        if mode.source is not None:
            raise UserError(
                f"mode {name!r} decodes the speech of other utterances of a data set",
                "",
                "take slm_decode for it",
            )
        if READOUT in mode.needs:
            _ = self._recognizer.maps.readout  # or an error that says why there is none
        return name, mode

    def _identify(self, waveforms: Sequence[Any]) -> list[tuple[str, float]]:
        if self._make_identifier is None:
            raise UserError("languages cannot be identified here", "", "give the language")
        self._identifier = self._identifier or self._make_identifier()
        return self._identifier(waveforms)

    def _listen(
        self, number: int, recording: Any, language: str, trained: TrainedLanguages
    ) -> _Heard:
        samples = speech_samples(_unambiguous(recording), SAMPLE_RATE)
        where = str(recording) if isinstance(recording, str | os.PathLike) else ""
        refuse_too_long(len(samples), self._longest, where)
        probability = None
        if language == AUTO:
            [(spoken, probability)] = self._identify([samples])
            try:
                language = trained.check_identified(spoken, probability)
            except UserError as error:
                raise UserError(error.what, where, error.mend) from error
        return _Heard(number, torch.tensor(samples), language, probability)

    def _decode(
        self, batch: Sequence[_Heard], name: str, mode: Mode
    ) -> dict[int, Transcript | UserError]:
        """Number of the recording -> what was said; one by one where they fail together."""
        try:
            texts = self._texts(batch, name, mode)
        except UserError as error:
            if len(batch) == 1:
                return {batch[0].number: error}
            return {
                n: found for one in batch for n, found in self._decode([one], name, mode).items()
            }
        return {
            one.number: Transcript(text, one.language, one.seconds, one.probability)
            for one, text in zip(batch, texts, strict=True)
        }

    def _texts(self, batch: Sequence[_Heard], name: str, mode: Mode) -> list[str]:
        waveforms = [one.waveform for one in batch]
        if self._extractor is not None:
            speech, lengths = self._extractor(waveforms)
        else:
            speech = pad_sequence(waveforms, batch_first=True)
            lengths = torch.tensor([len(waveform) for waveform in waveforms])
        device = self.model.projector.gain.device
        languages = [one.language for one in batch]
        seconds = [one.seconds for one in batch]
        together = SpeechBatch(speech.to(device), lengths.to(device), languages, seconds)
        found = self._recognizer([together], {name: mode})[name]
        return [mode.ranked(several)[0].text for several in found]


def is_several(audio: Any) -> bool:
    """Whether this is a collection of recordings, and not one recording.

    >>> is_several(["a.wav"]), is_several("a.wav"), is_several({"bytes": b""})
    (True, False, False)
    """
    one = is_source(audio) or isinstance(audio, Mapping) or hasattr(audio, "get_all_samples")
    return not one and isinstance(audio, Iterable) and not hasattr(audio, "__array__")


def _unambiguous(recording: Any) -> Any:
    """The recording, unless it is an array that may be many recordings or many channels."""
    shape = tuple(getattr(recording, "shape", ()))
    if len(shape) == 2 and min(shape) > 2:
        raise UserError(
            f"an array of shape {shape} may be {min(shape)} recordings or as many channels",
            "",
            "give several recordings as a list, and channels as a dictionary with array and "
            "sampling_rate",
        )
    return recording


def _batches(heard: Iterable[_Heard]) -> Iterator[list[_Heard]]:
    """What follows each other, with at most BATCH_SECONDS of padded speech; one at least."""
    batch: list[_Heard] = []
    for one in heard:
        longest = max(one.seconds, *(other.seconds for other in batch), 0.0)
        if batch and (len(batch) == BATCH_SIZE or longest * (len(batch) + 1) > BATCH_SECONDS):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _as_user_error(error: UserError | OSError) -> UserError:
    return error if isinstance(error, UserError) else UserError(sentence_for(error))


def _numbered(error: UserError, number: int, count: int) -> UserError:
    where = f"recording {number} of {count}"
    return UserError(error.what, f"{where} ({error.where})" if error.where else where, error.mend)


def _identifier(directory: Path, encoder: str | None, device: str) -> Identifier:
    # Only who asks for a language to be identified needs Whisper's decoder.
    from espnet_otreg.inference.language_id import LanguageIdentifier, whisper_directory

    return LanguageIdentifier(whisper_directory(directory, encoder), device)
