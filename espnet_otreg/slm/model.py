"""The spoken language model: speech encoder -> projector -> causal LLM, as an ESPnet model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch import Tensor, nn

from espnet_otreg.precision import Precision
from espnet_otreg.regularizers.base import AlignmentBatch
from espnet_otreg.slm.assembly import LLMInput, assemble
from espnet_otreg.slm.checkpoint import checked_state, saved_keys
from espnet_otreg.slm.compression import compress
from espnet_otreg.slm.config import SLMConfig
from espnet_otreg.slm.embeddings import SpeechEmbeddings, mask_from_lengths
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.projectors import Projector
from espnet_otreg.slm.prompt import Prompt
from espnet_otreg.slm.readout import TokenReadout


class Loss(Protocol):
    """The loss of a batch, see :class:`espnet_otreg.objectives.ObjectiveOutput`."""

    @property
    def loss(self) -> Tensor:
        """Scalar with gradient."""

    @property
    def statistics(self) -> dict[str, Tensor]:
        """Detached scalars by name."""

    @property
    def weight(self) -> float:
        """What the loss is a mean over."""


class TrainingObjective(Protocol):
    """What the model is trained with, see :class:`espnet_otreg.objectives.Objective`."""

    def remember_start(self, model: SpokenLanguageModel) -> None:
        """Keep what is needed of the model as it is when training begins."""

    def __call__(self, model: SpokenLanguageModel, batch: Mapping[str, Any], step: int) -> Loss:
        """The loss of a batch."""


class SpokenLanguageModel(AbsESPnetModel):
    """Speech encoder, projector and causal LLM, and what a training minimises with them.

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
        # Set by the trainer: of the networks, never of losses.
        self.precision = Precision()
        # Set by espnet_otreg.objectives.training; a model that only reads needs none.
        self.objective: TrainingObjective | None = None

    def remember_start(self) -> None:
        """Let the objective keep what it needs of the model as it is now, when training begins.

        The trainer calls this before it resumes a training.
        """
        if self.objective is not None:
            self.objective.remember_start(self)

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
        return self.project(*self.frames(speech, lengths))

    def frames(self, speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's (B, T, D) frames and their lengths."""
        speech = speech[:, : int(lengths.max())]
        features, lengths = self.features(speech, lengths)
        frames, frame_lengths, *_ = self.encoder(features, lengths)
        return frames, frame_lengths

    def project(self, frames: Tensor, frame_lengths: Tensor) -> SpeechEmbeddings:
        """The encoder's (B, T, D) frames in the LLM's embedding space."""
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
            batch.inputs_embeds,
            batch.attention_mask,
            batch.position_ids,
            batch.predicts,
            batch.tasks,
        )
        return logits, batch.targets, batch.predicts.nonzero()[:, 0]

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

    def forward(self, **batch: Any) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The objective's loss of a batch, its statistics, and its weight, as ESPnet wants them.

        Args:
            batch: by name, see :meth:`espnet_otreg.objectives.Objective.__call__`.

        Raises:
            RuntimeError: if the model has no objective.
        """
        if self.objective is None:
            raise RuntimeError("the model has no objective; build it by build_training_model")
        with self.precision.autocast(self.projector.gain.device):
            output = self.objective(self, batch, self.step)
        weight = torch.tensor(float(output.weight), device=output.loss.device)
        # Scalars become vectors of one element, which several processes can gather.
        gathered: tuple[Tensor, dict[str, Tensor], Tensor] = force_gatherable(
            (output.loss, output.statistics, weight), output.loss.device
        )
        return gathered

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
