"""A picture of one transport plan: seconds across, tokens down, the recording above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from espnet_otreg.data.audio.recording import read_recordings
from espnet_otreg.errors import UserError
from espnet_otreg.report.alignment import compare, distinct, make_transcripts
from espnet_otreg.report.style import COLOURS, GREY, SETTINGS, load_pyplot, save
from espnet_otreg.report.utterances import Utterance, digest, read_utterances, stream_speech
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.waveform import SAMPLE_RATE, read_waveform

# Of the utterance chosen by default.
_TOKENS, _LETTERS = range(6, 21), range(30, 50)


@dataclass(frozen=True, eq=False)
class Plan:
    """What the picture shows.

    Attributes:
        shares: (S, T) plan, each frame's mass divided by its sum.
        labels: T names of the targets; the first one is the anchor.
        frame_seconds: duration of one frame.
        title: the utterance's id and transcript.
        samples: (N,) the recording at 16 kHz, or None.
    """

    shares: NDArray[np.float64]
    labels: list[str]
    frame_seconds: float
    title: str
    samples: NDArray[np.float32] | None


def choose_utterance(utterances: Sequence[Utterance], wanted: str | None) -> Utterance:
    """The utterance named, else a legible one.

    Legible is one of medium length; of those the one with the lowest sha256 of its id is taken,
    in English if there is any.

    Raises:
        UserError: if it is not in the test sets.
    """
    if wanted is not None:
        for utterance in utterances:
            if utterance.key == wanted:
                return utterance
        raise UserError(f"'{wanted}' is in none of the test sets", "--plan_utterance")
    legible = [u for u in utterances if len(set(u.tokens)) in _TOKENS and len(u.text) in _LETTERS]
    return min(legible or utterances, key=lambda u: (u.language != "en", digest(u.key)))


@torch.no_grad()
def plan_of(
    model: SpokenLanguageModel,
    data_dirs: Sequence[str | Path],
    wanted: str | None,
    audio_dirs: Sequence[str | Path],
) -> Plan:
    """The transport plan of one test utterance.

    Args:
        model: in evaluation mode.
        data_dirs: test sets.
        wanted: id of the utterance; None chooses one of the first test set.
        audio_dirs: data directories with wav.scp, for the recording above the plan.

    Raises:
        UserError: if there is no such utterance.
    """
    dirs = data_dirs if wanted else data_dirs[:1]
    every = [utterance for directory in dirs for utterance in read_utterances(directory, model)]
    utterance = choose_utterance(every, wanted)
    [(_, speech)] = stream_speech(model, [utterance])
    anchor = model.llm.anchor_id
    transcripts = make_transcripts(
        [utterance.tokens], anchor, lambda ids: model.llm.embed(ids.to(speech.device))
    )
    coupling = compare(speech, transcripts).coupling[0].double()
    tokens = distinct(utterance.tokens, anchor)
    return Plan(
        shares=(coupling / coupling.sum(1, keepdim=True)).cpu().numpy(),
        labels=["silence (anchor)", *(_label(model.llm.tokenizer, token) for token in tokens)],
        frame_seconds=model.frame_seconds,
        title=f"“{utterance.text}”  ({utterance.key})",
        samples=_recording(utterance.key, audio_dirs),
    )


def _label(tokenizer: Any, token: int) -> str:
    """A token as text; a low line stands for the space at its beginning.

    Decoding, not the vocabulary's spelling: byte-level tokenizers spell Cyrillic in bytes.
    """
    piece = str(tokenizer.convert_ids_to_tokens(token))
    text = tokenizer.decode([token]).strip()
    starts_word = piece.startswith(("▁", "Ġ", " "))
    return f"_{text}" if starts_word else text or piece


def _recording(key: str, audio_dirs: Sequence[str | Path]) -> NDArray[np.float32] | None:
    for directory in audio_dirs:
        table = Path(directory) / "wav.scp"
        wavs = read_recordings(table) if table.is_file() else {}
        if key in wavs:
            return read_waveform(wavs[key], key)
    return None


def draw_plan(plan: Plan, path: str | Path) -> None:
    """Draw a plan.

    Args:
        plan: what to show.
        path: PNG to write.

    Raises:
        UserError: if matplotlib is missing.
    """
    pyplot = load_pyplot()
    frames, targets = plan.shares.shape
    seconds = frames * plan.frame_seconds
    # The anchor at the bottom, the first token at the top: speech runs down the diagonal.
    shares = np.concatenate([plan.shares[:, 1:], plan.shares[:, :1]], axis=1).T
    labels = [*plan.labels[1:], plan.labels[0]]
    height = 1.3 + 0.26 * targets
    with pyplot.rc_context(SETTINGS):
        figure, (above, below) = pyplot.subplots(
            2,
            1,
            figsize=(8, height),
            sharex=True,
            layout="constrained",
            height_ratios=(0.9, 0.26 * targets),
        )
        _draw_recording(above, plan, seconds)
        above.set_title(plan.title)
        image = below.imshow(
            shares,
            aspect="auto",
            cmap="Blues",
            vmin=0,
            vmax=1,
            extent=(0, seconds, targets, 0),
            interpolation="nearest",
        )
        below.set_yticks(np.arange(targets) + 0.5, labels)
        below.get_yticklabels()[-1].set_color(COLOURS[5])
        below.axhline(targets - 1, color=GREY, linewidth=0.8)
        for line in range(1, targets - 1):
            below.axhline(line, color="#eeeeee", linewidth=0.5)
        below.tick_params(axis="y", length=0)
        below.set_xlabel("seconds")
        bar = figure.colorbar(image, ax=below, pad=0.01, aspect=30)
        bar.set_label("share of the frame's mass")
        bar.outline.set_visible(False)
        save(figure, path)


def _draw_recording(axes: Any, plan: Plan, seconds: float) -> None:
    """The recording, or the share of each frame that goes to tokens where there is none."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    if plan.samples is None:
        times = (np.arange(len(plan.shares)) + 0.5) * plan.frame_seconds
        axes.fill_between(times, 1 - plan.shares[:, 0], color=GREY, linewidth=0)
        axes.set_ylabel("on tokens", color=GREY)
        return
    # One vertical line for each of 1200 pixels, from the lowest to the highest sample.
    count = min(1200, len(plan.samples))
    parts = np.array_split(plan.samples, count)
    times = np.linspace(0, len(plan.samples) / SAMPLE_RATE, count)
    axes.fill_between(
        times, [part.min() for part in parts], [part.max() for part in parts], color=GREY, lw=0.3
    )
    axes.set_xlim(0, seconds)
    axes.set_ylabel("recording", color=GREY)
