"""Prompt, speech and transcript in one padded batch of LLM inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from espnet_otreg.errors import UserError
from espnet_otreg.slm.embeddings import SpeechEmbeddings
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.prompt import Prompt


@dataclass(frozen=True)
class LLMInput:
    """What the LLM reads.

    Attributes:
        inputs_embeds: (B, L, D), zero on padding.
        attention_mask: (B, L), 1 on real positions.
        position_ids: (B, L), counting real positions only, anew behind the speech if the prompt
            says so.
        tasks: what the B rows are about, here their languages; an adapter may choose by it.
        predicts: (B, L) booleans, True where the next token is to be predicted; None without
            transcripts.
        targets: (N,) the tokens to predict, in the order of ``predicts``; None without.
    """

    inputs_embeds: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    tasks: tuple[str, ...] = ()
    predicts: Tensor | None = None
    targets: Tensor | None = None


def _ids(ids: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(ids, dtype=torch.long, device=device)


def _positions(prompt: Prompt, before: int, speech: int, after: int) -> int:
    """How many positions an utterance takes; ``after`` counts its transcript, too."""
    if prompt.restart:
        return max(before + speech, before + after - min(1, before))
    return before + speech + after


def _check_positions(llm: LLM, prompt: Prompt, lengths: Sequence[int], name: str) -> None:
    before, speech, *after = lengths
    needed, limit = _positions(prompt, before, speech, sum(after)), llm.max_positions
    if limit is not None and needed > limit:
        transcript = f", {after[1]} of the transcript" if len(after) > 1 else ""
        raise UserError(
            f"it takes {needed} positions of the LLM ({before + after[0]} of the prompt, {speech} "
            f"of speech{transcript}), which has {limit}",
            f"utterance {name}",
            "cut or remove it, or make speech shorter: a larger projector_conf.stack, or "
            "compression_conf",
        )


def others_speech(
    llm: LLM,
    prompt: Prompt,
    speech: SpeechEmbeddings,
    languages: Sequence[str],
    transcripts: Sequence[Sequence[int]],
) -> SpeechEmbeddings:
    """Each utterance with the speech of the one before it, as far as the LLM has positions.

    Args:
        llm: has so many positions.
        prompt: what stands around the speech.
        speech: (B, S, D).
        languages: B names.
        transcripts: B lists of token ids without EOS.
    """
    values, mask = speech.values.roll(1, 0), speech.mask.roll(1, 0)
    if llm.max_positions is not None:
        rooms = []
        for language, transcript in zip(languages, transcripts, strict=True):
            before, after = prompt.around(language)
            behind = 0 if prompt.restart else len(after) + len(transcript)
            rooms.append(max(1, llm.max_positions - len(before) - behind))
        mask = mask & (mask.cumsum(dim=1) <= torch.tensor(rooms, device=mask.device)[:, None])
    return SpeechEmbeddings(values, mask, speech.frame_seconds)


def assemble(
    llm: LLM,
    prompt: Prompt,
    speech: SpeechEmbeddings,
    languages: Sequence[str],
    transcripts: Sequence[Sequence[int]] | None = None,
    padding_side: str = "right",
    names: Sequence[str] = (),
) -> LLMInput:
    """Put ``[before][speech][after][transcript][EOS]`` together for every utterance.

    Args:
        llm: embeds the tokens.
        prompt: what stands around the speech.
        speech: (B, S, D).
        languages: B names.
        transcripts: B lists of token ids without EOS, for training and teacher-forced scoring;
            None for generation.
        padding_side: ``"left"`` for generation, where all prompts must end together.
        names: of the utterances, for messages.

    Returns:
        The batch; cross-entropy is on transcript and EOS only.

    Raises:
        UserError: if an utterance needs more positions than the LLM has.
    """
    device = speech.values.device
    rows: list[Tensor] = []
    starts: list[int] = []
    jumps: list[tuple[int, int]] = []  # where speech ends, and how far positions fall back there
    targets: list[Tensor] = []
    dtype = speech.values.dtype
    for index, language in enumerate(languages):
        before, after = prompt.around(language)
        parts = [
            llm.embed(_ids(before, device)).to(dtype),
            speech.values[index, speech.mask[index]],
            llm.embed(_ids(after, device)).to(dtype),
        ]
        starts.append(sum(len(part) for part in parts))
        length = len(parts[1])
        jumps.append((len(before) + length, length + min(1, len(before)) if prompt.restart else 0))
        if transcripts is not None:
            target = _ids([*transcripts[index], prompt.eos_id], device)
            targets.append(target)
            # EOS is predicted, never read.
            parts.append(llm.embed(target[:-1]).to(dtype))
        _check_positions(
            llm, prompt, [len(part) for part in parts], names[index] if names else f"number {index}"
        )
        rows.append(torch.cat(parts))
    lengths = torch.tensor([len(row) for row in rows], device=device)
    size = int(lengths.max())
    real = torch.arange(size, device=device) < lengths[:, None]
    if padding_side == "left":
        real = real.flip(1)
    inputs = torch.zeros(len(rows), size, speech.values.size(-1), dtype=dtype, device=device)
    inputs = inputs.masked_scatter(real[..., None], torch.cat(rows))
    count = (real.long().cumsum(dim=1) - 1).clamp(min=0)
    ends, back = torch.tensor(jumps, device=device).unbind(dim=1)
    positions = count - torch.where(count >= ends[:, None], back[:, None], 0)
    if transcripts is None:
        return LLMInput(inputs, real.long(), positions, tuple(languages))
    # The position before the first transcript token predicts it.
    first = torch.tensor(starts, device=device)[:, None] - 1
    predicts = real & (count >= first)
    return LLMInput(inputs, real.long(), positions, tuple(languages), predicts, torch.cat(targets))
