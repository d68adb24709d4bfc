"""The zero-shot baseline: Whisper as published, without further training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer
from transformers.utils import logging as transformers_logging

from espnet_otreg.data.audio import CONVERSIONS
from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.data.digests import read_digests
from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.data.languages import canonical_language, read_languages, same_language
from espnet_otreg.errors import UserError
from espnet_otreg.files import lock_directory, write_json
from espnet_otreg.models_offline.directory import model_directory, weights_sha256
from espnet_otreg.models_offline.pretrained import load_pretrained, reading
from espnet_otreg.progress import Progress
from espnet_otreg.ranges import BATCH_SIZE, require_in_range
from espnet_otreg.shards import Shard, fingerprint_of, remove_others
from espnet_otreg.slm.device import usable_device
from espnet_otreg.slm.waveform import SAMPLE_RATE, read_waveform

_MAX_NEW_TOKENS = 224  # half of the decoder's window, as in Whisper's own transcription


class ZeroShotWhisper:
    """A Whisper model with its tokenizer, decoding greedily in a given language.

    Args:
        directory: local Hugging Face directory.
        device: where it runs.
    """

    def __init__(self, directory: str | Path, device: str = "cpu") -> None:
        transformers_logging.set_verbosity_error()  # generate() warns about its own defaults
        device = usable_device(device)
        # Any: transformers types its modules loosely.
        self.model: Any = load_pretrained(
            WhisperForConditionalGeneration, directory, "Whisper model", dtype=torch.float32
        )
        self.model.to(device)
        with reading("Whisper tokenizer", directory):
            self.tokenizer = WhisperTokenizer.from_pretrained(directory)
            self.extractor = WhisperFeatureExtractor.from_pretrained(directory)

    def languages(self) -> dict[str, str]:
        """The canonical languages that the model knows, with its own codes for them."""
        codes = (token.strip("<|>") for token in self.model.generation_config.lang_to_id)
        return {canonical_language(code): code for code in codes}

    @torch.inference_mode()
    def transcribe(self, waveforms: Sequence[Any], language: str) -> list[str]:
        """Greedy transcripts of waveforms (N,) at 16 kHz, each filled up to 30 s.

        Raises:
            UserError: if the model does not know the language.
        """
        known = self.languages()
        own = same_language(canonical_language(language), known)
        if own is None:
            raise UserError(f"Whisper does not know the language '{language}'")
        features = self.extractor(
            list(waveforms), sampling_rate=SAMPLE_RATE, return_tensors="pt"
        ).input_features
        tokens = self.model.generate(
            features.to(self.model.device),
            language=known[own],
            task="transcribe",
            do_sample=False,
            num_beams=1,
            max_new_tokens=_MAX_NEW_TOKENS,
        )
        return [text.strip() for text in self.tokenizer.batch_decode(tokens, True)]


def _chunks(data: Path, size: int) -> list[tuple[str, list[str]]]:
    """(language, utterances) of equal language and similar length, ``size`` at most."""
    languages = read_languages(data / "utt2lang")
    waves = read_recordings(data / "wav.scp")
    if languages.keys() != waves.keys():
        odd = min(languages.keys() ^ waves.keys())
        raise UserError(f"'{odd}' is in only one of wav.scp and utt2lang", str(data))
    chunks = []
    for language in sorted(set(languages.values())):
        keys = [
            key for key in waves if languages[key] == language and Path(waves[key].path).is_file()
        ]
        keys.sort(key=lambda key: (waves[key].bytes(), key))
        chunks += [(language, keys[n : n + size]) for n in range(0, len(keys), size)]
    missing = [key for key in waves if not Path(waves[key].path).is_file()]
    if missing:
        raise UserError("the audio file is missing", f"utterance {missing[0]}")
    return chunks


def decode_baseline(
    data: str, output: str, model: str, batch_size: int = 8, device: str = "cpu"
) -> None:
    """Transcribe a data directory into ``<output>/text``; an interrupted run goes on.

    Args:
        data: directory with wav.scp (at most 30 s each) and utt2lang.
        output: directory for ``text`` and ``decode.json``.
        model: a Whisper directory or hub name.
        batch_size: utterances decoded together.
        device: where the model runs.

    Raises:
        UserError: for defective recordings and for languages that the model does not know.
    """
    start = time.monotonic()
    waves = read_recordings(Path(data) / "wav.scp")
    require_in_range({"batch_size": batch_size}, {"batch_size": BATCH_SIZE})
    chunks = _chunks(Path(data), batch_size)
    digests = read_digests(data, waves)
    directory = model_directory(model)
    digest = weights_sha256(directory)
    CONVERSIONS.clear()
    whisper = ZeroShotWhisper(directory, device)
    known = whisper.languages()
    for language, _ in chunks:
        if same_language(language, known) is None:
            raise UserError(f"Whisper does not know the language '{language}'", f"{data}/utt2lang")
    hypotheses: dict[str, str] = {}
    progress = Progress("whisper", len(waves), "utterances")
    with lock_directory(output):
        shards = []
        for number, (language, keys) in enumerate(chunks, start=1):
            facts = fingerprint_of(digest, language, [[key, digests[key]] for key in keys])
            shard = Shard(Path(output) / "parts" / str(number), facts)
            if not shard.finished():
                batch = [_read(waves[key], key) for key in keys]
                texts = whisper.transcribe(batch, language)
                with shard.writing():
                    table = dict(zip(keys, texts, strict=True))
                    write_table(shard.directory / "text", table)
            hypotheses |= read_table(shard.directory / "text")
            shards.append(shard)
            progress.advance(len(keys))
        remove_others(Path(output) / "parts", shards)
        write_table(Path(output) / "text", hypotheses)
        about_run = {"model": model, "model_sha256": digest, "utterances": len(hypotheses)}
        write_json(Path(output) / "decode.json", about_run)
    progress.close()
    CONVERSIONS.say()
    print(f"{output}/text: {len(hypotheses)} utterances in {time.monotonic() - start:.0f} s")


def _read(path: Recording, utterance: str) -> Any:
    return read_waveform(path, utterance, longest=30 * SAMPLE_RATE)
