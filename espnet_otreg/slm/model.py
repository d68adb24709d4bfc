"""The spoken language model: speech encoder -> projector -> causal LLM, as an ESPnet model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch import Tensor, nn

from espnet_otreg.errors import UserError
from espnet_otreg.regularizers.base import AlignmentBatch
from espnet_otreg.regularizers.combine import apply_regularizers
from espnet_otreg.slm.assembly import LLMInput, assemble, others_speech
from espnet_otreg.slm.checkpoint import checked_state, saved_keys
from espnet_otreg.slm.compression import compress
from espnet_otreg.slm.config import SLMConfig
from espnet_otreg.slm.embeddings import SpeechEmbeddings, mask_from_lengths
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.projectors import Projector
from espnet_otreg.slm.prompt import Prompt
from espnet_otreg.slm.readout import TokenReadout
from espnet_otreg.slm.start import StartingProjector


def languages_of(codes: Tensor | None, lengths: Tensor | None, batch: int) -> list[str]:
    """Language names from the code points that the preprocessor made of them.

    >>> languages_of(torch.tensor([[105, 116, -1], [121, 117, 101]]), torch.tensor([2, 3]), 2)
    ['it', 'yue']
    """
    if codes is None or lengths is None:
        return ["default"] * batch
    rows = zip(codes.tolist(), lengths.tolist(), strict=True)
    return ["".join(map(chr, row[:length])) for row, length in rows]


def _mean_tokens_per_utterance(tokens: int, utterances: int, device: torch.device) -> float:
    """Over all processes: what turns a mean per utterance into one per token."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return tokens / utterances
    counts = torch.tensor([tokens, utterances], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(counts)
    return float(counts[0] / counts[1])


class SpokenLanguageModel(AbsESPnetModel):
    """Speech encoder, projector and causal LLM, with the regularizers that YAML names.

    Args:
        config: the checked configuration.
        frontend, specaug, normalize: ESPnet's modules, or None.
        encoder: any ESPnet encoder.
        projector: encoder frames to LLM embeddings.
        llm: the LLM.
        prompt: what stands around the speech.
        readout: CTC against the LLM's embedding table, or None without token classes.
        frame_seconds: duration of one encoder frame.
    """

    def __init__(
        self,
        config: SLMConfig,
        frontend: nn.Module | None,
        specaug: nn.Module | None,
        normalize: nn.Module | None,
        encoder: nn.Module,
        projector: Projector,
        llm: LLM,
        prompt: Prompt,
        readout: TokenReadout | None,
        frame_seconds: float,
    ) -> None:
        super().__init__()
        self.config = config
        self.frontend = frontend
        self.specaug = specaug
        self.normalize = normalize
        self.encoder = encoder
        self.projector = projector
        self.llm = llm
        self.prompt = prompt
        self.readout = readout
        self.frame_seconds = frame_seconds * projector.reduction
        self.extract_feats_in_collect_stats = config.model_conf.extract_feats_in_collect_stats
        # Set by the trainer: number of steps taken so far; decides start steps and warm-ups.
        self.step = 0
        self._nonfinite_in_a_row = 0
        self._start: StartingProjector | None = None

    def remember_start(self) -> None:
        """Keep the projector as it is now for the regularizers that compare with it, if any.

        The trainer calls this before it resumes a training; otherwise the first step does.
        """
        if self._compares_with_start():
            self._start = StartingProjector(self.projector)

    def _compares_with_start(self) -> bool:
        return any(item.config.needs_start for item in self.config.regularizers)

    def features(self, speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """ESPnet's frontend, SpecAug (training only) and normalisation, in its usual order."""
        if self.frontend is not None:
            speech, lengths = self.frontend(speech, lengths)
        if self.specaug is not None and self.training:
            speech, lengths = self.specaug(speech, lengths)
        if self.normalize is not None:
            speech, lengths = self.normalize(speech, lengths)
        return speech, lengths

    def encode(self, speech: Tensor, lengths: Tensor) -> SpeechEmbeddings:
        """Speech in the LLM's embedding space.

        Args:
            speech: (B, N) waveforms or (B, T, D) features.
            lengths: (B,).

        Returns:
            (B, S, D) embeddings before compression.
        """
        return self._project(*self._frames(speech, lengths))

    def _frames(self, speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's (B, T, D) frames and their lengths."""
        speech = speech[:, : int(lengths.max())]
        features, lengths = self.features(speech, lengths)
        frames, frame_lengths, *_ = self.encoder(features, lengths)
        return frames, frame_lengths

    def _project(self, frames: Tensor, frame_lengths: Tensor) -> SpeechEmbeddings:
        values, lengths = self.projector(frames, frame_lengths)
        mask = mask_from_lengths(lengths, values.size(1))
        return SpeechEmbeddings(values, mask, self.frame_seconds)

    def anchor(self) -> Tensor:
        """(D,) detached embedding of the anchor token."""
        identity = torch.tensor([self.llm.anchor_id], device=self.projector.gain.device)
        return self.llm.embed(identity)[0].detach()

    def compress(self, embeddings: SpeechEmbeddings) -> SpeechEmbeddings:
        """Compression as configured; see :mod:`espnet_otreg.slm.compression`."""
        return compress(embeddings, self.config.compression_conf, self.readout, self.anchor())

    def assemble(
        self,
        speech: SpeechEmbeddings,
        languages: Sequence[str],
        transcripts: Sequence[Sequence[int]] | None = None,
        padding_side: str = "right",
        names: Sequence[str] = (),
    ) -> LLMInput:
        """LLM inputs with this model's prompt; see :func:`espnet_otreg.slm.assembly.assemble`."""
        return assemble(self.llm, self.prompt, speech, languages, transcripts, padding_side, names)

    def token_losses(
        self,
        speech: SpeechEmbeddings,
        languages: Sequence[str],
        transcripts: list[list[int]],
        names: Sequence[str] = (),
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Teacher-forced prediction of transcript + EOS; ``names`` are for messages.

        Returns:
            (N, V) logits, (N,) targets, (N,) index of the utterance.
        """
        batch = self.assemble(speech, languages, transcripts, names=names)
        assert batch.predicts is not None and batch.targets is not None
        logits = self.llm.logits_at(
            batch.inputs_embeds, batch.attention_mask, batch.position_ids, batch.predicts
        )
        return logits, batch.targets, batch.predicts.nonzero()[:, 0]

    def _noisy(self, speech: SpeechEmbeddings) -> SpeechEmbeddings:
        """Gaussian noise on what the LLM reads, so that it does not trust training too much."""
        amount = self.config.model_conf.embedding_noise
        if not (self.training and amount):
            return speech
        scale = amount * self.projector.norm / speech.values.size(-1) ** 0.5
        noise = torch.randn_like(speech.values) * scale * speech.mask[..., None]
        return SpeechEmbeddings(speech.values + noise, speech.mask, speech.frame_seconds)

    def _cross_entropy(
        self,
        embeddings: SpeechEmbeddings,
        languages: list[str],
        transcripts: list[list[int]],
        names: Sequence[str],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        compressed = self._noisy(self.compress(embeddings))
        logits, targets, _ = self.token_losses(compressed, languages, transcripts, names)
        smoothing = self.config.model_conf.label_smoothing if self.training else 0.0
        loss = F.cross_entropy(logits, targets, label_smoothing=smoothing)
        kept = compressed.mask.sum() / embeddings.mask.sum()
        statistics = {
            "ce": loss.detach(),
            "acc": (logits.argmax(dim=-1) == targets).float().mean(),
            "kept_frames": kept.float(),
        }
        if not self.training and len(languages) > 1:
            # Wrong speech, right prompt: a model that does not listen loses nothing by it.
            wrong = others_speech(self.llm, self.prompt, compressed, languages, transcripts)
            wrong_logits, _, _ = self.token_losses(wrong, languages, transcripts)
            statistics["ce_shuffled_speech"] = F.cross_entropy(wrong_logits, targets).detach()
        return loss, statistics

    def alignment_batch(
        self,
        embeddings: SpeechEmbeddings,
        text: Tensor,
        text_mask: Tensor,
        at_start: Tensor | None = None,
    ) -> AlignmentBatch:
        """What regularizers see of (B, S, D) speech and (B, T) token ids, masked (B, T)."""
        return AlignmentBatch(
            speech=embeddings.values,
            speech_mask=embeddings.mask,
            text=self.llm.embed(text.masked_fill(~text_mask, self.llm.anchor_id)).detach(),
            text_ids=text.masked_fill(~text_mask, -1),
            text_mask=text_mask,
            anchor=self.anchor(),
            anchor_id=self.llm.anchor_id,
            frame_seconds=embeddings.frame_seconds,
            readout=self.readout,
            speech_at_start=at_start,
        )

    def forward(
        self,
        speech: Tensor,
        speech_lengths: Tensor,
        text: Tensor,
        text_lengths: Tensor,
        language: Tensor | None = None,
        language_lengths: Tensor | None = None,
        utt_id: Sequence[str] = (),
        **_: Any,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The training loss of a batch.

        Args:
            speech: (B, N) waveforms or (B, T, D) features.
            text: (B, T) token ids of the transcripts, -1 on padding, without EOS.
            language: (B, L) code points of the languages' names.
            utt_id: for messages.

        Returns:
            The mean loss per target token plus the weighted regularizers (means per utterance,
            rescaled so that several processes agree with one), statistics, and the number of
            target tokens as weight.
        """
        languages = languages_of(language, language_lengths, len(speech))
        text = text[:, : int(text_lengths.max())]
        text_mask = mask_from_lengths(text_lengths, text.size(1))
        transcripts = [
            row[:length] for row, length in zip(text.tolist(), text_lengths.tolist(), strict=True)
        ]
        self.llm.check_tokens(transcripts, utt_id)
        frames = self._frames(speech, speech_lengths)
        embeddings = self._project(*frames)
        statistics: dict[str, Tensor] = {}
        total = torch.zeros((), device=speech.device)
        if self.config.model_conf.cross_entropy_weight:
            cross_entropy, statistics = self._cross_entropy(
                embeddings, languages, transcripts, utt_id
            )
            total = total + self.config.model_conf.cross_entropy_weight * cross_entropy
        tokens = int(text_lengths.sum()) + len(transcripts)  # + EOS
        if self.config.regularizers:
            # Without cross-entropy the regularizers are the objective, in validation too.
            objective = self.training or not self.config.model_conf.cross_entropy_weight
            at_start = None
            if self._compares_with_start():
                self._start = self._start or StartingProjector(self.projector)
                at_start = self._start(*frames)
            alignment = self.alignment_batch(embeddings, text, text_mask, at_start)
            term, observed = apply_regularizers(
                self.config.regularizers, alignment, self.step, objective
            )
            statistics |= observed
            if term is not None:
                device = total.device
                per_utterance = _mean_tokens_per_utterance(tokens, len(transcripts), device)
                total = total + term * (per_utterance * len(transcripts) / tokens)
        statistics["loss"] = total.detach().clone()
        total = self._checked(total, statistics, utt_id)
        weight = torch.tensor(float(tokens), device=total.device)
        detached = {name: value.detach() for name, value in statistics.items()}
        # Scalars become vectors of one element, which several processes can gather.
        gathered: tuple[Tensor, dict[str, Tensor], Tensor] = force_gatherable(
            (total, detached, weight), total.device
        )
        return gathered

    def _checked(
        self, loss: Tensor, statistics: dict[str, Tensor], utt_id: Sequence[str]
    ) -> Tensor:
        """The loss; one that is not finite is reported and gets a gradient of NaN, which makes
        ESPnet's trainer skip the step (an infinite constant would have a finite one)."""
        if not self.training or bool(torch.isfinite(loss)):
            self._nonfinite_in_a_row = 0
            return loss
        self._nonfinite_in_a_row += 1
        terms = ", ".join(f"{name}={float(value):.4g}" for name, value in statistics.items())
        logging.warning(
            "step skipped, the loss is not finite: utterances %s; %s", " ".join(utt_id), terms
        )
        if self._nonfinite_in_a_row >= self.config.model_conf.max_nonfinite_steps:
            raise UserError(
                f"the loss was not finite {self._nonfinite_in_a_row} times in a row ({terms})",
                "utterances " + " ".join(utt_id),
                "look at these utterances, lower the learning rate or the regularizers' weights",
            )
        return loss * torch.nan

    def collect_feats(self, speech: Tensor, speech_lengths: Tensor, **_: Any) -> dict[str, Tensor]:
        """Frontend features, for ESPnet's normalisation statistics."""
        if self.frontend is not None:
            speech, speech_lengths = self.frontend(speech, speech_lengths)
        return {"feats": speech, "feats_lengths": speech_lengths}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Everything except what is read from the pretrained models and was not trained."""
        state = super().state_dict(*args, **kwargs)
        keys = saved_keys(self)
        return {key: value for key, value in state.items() if key in keys}

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load a checkpoint after checking its keys both ways, whatever ``strict`` says.

        Raises:
            UserError: if keys are missing or unknown.
        """
        state = checked_state(self, state_dict)
        return super().load_state_dict(state, strict=False, assign=assign)
