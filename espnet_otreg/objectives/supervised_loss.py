"""Supervised training: cross-entropy of the transcripts, and regularizers of the alignment.

    loss = cross_entropy_weight * CE + sum of the weighted regularizers

CE is the mean over all tokens of transcripts and their EOS, read by the LLM after the prompt and
the compressed speech. A regularizer is a mean over utterances; it is rescaled so that several
processes, which are weighted by their numbers of tokens, agree with one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espnet_otreg.objectives.base import SPEECH, Objective, ObjectiveOutput
from espnet_otreg.objectives.batch import languages_of, token_ids, transcripts_of
from espnet_otreg.objectives.reference import FrozenCopy
from espnet_otreg.regularizers.combine import apply_regularizers
from espnet_otreg.slm.assembly import others_speech
from espnet_otreg.slm.embeddings import SpeechEmbeddings
from espnet_otreg.slm.model import SpokenLanguageModel


class SupervisedObjective(Objective):
    """Cross-entropy and regularizers, as the model's configuration says; see the module."""

    def __init__(self) -> None:
        self._start: FrozenCopy[nn.Module] | None = None

    def remember_start(self, model: SpokenLanguageModel) -> None:
        """Keep the projector for the regularizers that compare with it, if any."""
        needed = any(item.config.needs_start for item in model.config.regularizers)
        self._start = FrozenCopy(model.projector) if needed else None

    def __call__(
        self, model: SpokenLanguageModel, batch: Mapping[str, Any], step: int
    ) -> ObjectiveOutput:
        """The loss per target token.

        Raises:
            UserError: if a transcript has a token that the LLM does not know.
        """
        config, names = model.config, batch.get("utt_id", ())
        languages, transcripts = languages_of(batch), transcripts_of(batch)
        model.llm.check_tokens(transcripts, names)
        frames = model.frames(batch[SPEECH], batch[f"{SPEECH}_lengths"])
        embeddings = model.project(*frames)
        statistics: dict[str, Tensor] = {}
        total = torch.zeros((), device=batch[SPEECH].device)
        weight = config.model_conf.cross_entropy_weight
        if weight:
            loss, statistics = cross_entropy(model, embeddings, languages, transcripts, names)
            total = total + weight * loss
        tokens = sum(map(len, transcripts)) + len(transcripts)  # + EOS
        if config.regularizers:
            alignment = model.alignment_batch(
                embeddings, *token_ids(batch), self._at_start(*frames)
            )
            # Without cross-entropy the regularizers are the loss, in validation too.
            term, observed = apply_regularizers(
                config.regularizers, alignment, step, model.training or not weight
            )
            statistics |= observed
            if term is not None:
                device = total.device
                per_utterance = _mean_tokens_per_utterance(tokens, len(transcripts), device)
                total = total + term * (per_utterance * len(transcripts) / tokens)
        return ObjectiveOutput(total, statistics, tokens)

    @torch.no_grad()
    def _at_start(self, frames: Tensor, lengths: Tensor) -> Tensor | None:
        """(B, S, D) what the projector made of the frames when training began, if that is kept."""
        if self._start is None:
            return None
        values: Tensor = self._start.module(frames, lengths)[0]
        return values


def cross_entropy(
    model: SpokenLanguageModel,
    embeddings: SpeechEmbeddings,
    languages: Sequence[str],
    transcripts: list[list[int]],
    names: Sequence[str] = (),
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean cross-entropy of the transcripts' tokens and EOS, and statistics.

    Args:
        model: label smoothing and noise count in training only.
        embeddings: (B, S, D), before compression.
        languages: B names.
        transcripts: B lists of token ids, without EOS.
        names: of the utterances, for messages.

    Returns:
        A scalar, and detached ``ce``, ``acc`` (share of tokens that are predicted), ``kept_frames``
        (share after compression) and, in validation, ``ce_shuffled_speech``: the same with the
        speech of another utterance. A model that does not listen loses nothing by that.
    """
    compressed = _with_noise(model, model.compress(embeddings))
    logits, targets, _ = model.token_losses(compressed, languages, transcripts, names)
    smoothing = model.config.model_conf.label_smoothing if model.training else 0.0
    loss = F.cross_entropy(logits, targets, label_smoothing=smoothing)
    kept = compressed.mask.sum() / embeddings.mask.sum()
    statistics = {
        "ce": loss.detach(),
        "acc": (logits.argmax(dim=-1) == targets).float().mean(),
        "kept_frames": kept.float(),
    }
    if not model.training and len(languages) > 1:
        wrong = others_speech(model.llm, model.prompt, compressed, list(languages), transcripts)
        wrong_logits, _, _ = model.token_losses(wrong, languages, transcripts)
        statistics["ce_shuffled_speech"] = F.cross_entropy(wrong_logits, targets).detach()
    return loss, statistics


def _with_noise(model: SpokenLanguageModel, speech: SpeechEmbeddings) -> SpeechEmbeddings:
    """Gaussian noise on what the LLM reads, so that it does not trust training too much."""
    amount = model.config.model_conf.embedding_noise
    if not (model.training and amount):
        return speech
    scale = amount * model.projector.norm / speech.values.size(-1) ** 0.5
    noise = torch.randn_like(speech.values) * scale * speech.mask[..., None]
    return SpeechEmbeddings(speech.values + noise, speech.mask, speech.frame_seconds)


def _mean_tokens_per_utterance(tokens: int, utterances: int, device: torch.device) -> float:
    """Over all processes: what turns a mean per utterance into one per token."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return tokens / utterances
    counts = torch.tensor([tokens, utterances], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(counts)
    return float(counts[0] / counts[1])
