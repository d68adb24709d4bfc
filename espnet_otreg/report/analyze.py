"""Stage 12: modality gap, retrieval, anchor and anisotropy of one model on its test sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from espnet_otreg.progress import Progress
from espnet_otreg.report.alignment import (
    SETTINGS,
    Transcripts,
    anchor_frames,
    anisotropy,
    compare,
    distinct,
    make_transcripts,
)
from espnet_otreg.report.utterances import Utterance, digest, embed_speech, read_utterances
from espnet_otreg.scoring.references import DEFAULT_IN_DOMAIN, check_in_domain
from espnet_otreg.scoring.score import group_of
from espnet_otreg.slm.model import SpokenLanguageModel

FORMAT = "otreg-analysis-1"
CANDIDATES = 50  # transcripts among which the right one is to be found
RETRIEVALS = ("cosine", "transport", "cosine_raw", "transport_raw")
MISMATCHES = 4  # other transcripts that each utterance is compared with for the modality gap


@torch.no_grad()
def analyze(
    model: SpokenLanguageModel,
    data_dirs: Sequence[str | Path],
    in_domain: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The content of analysis.json.

    Args:
        model: in evaluation mode.
        data_dirs: test sets; results are by language and domain.
        in_domain: the domains that are in-domain; ``core_sounds`` if None.

    Raises:
        UserError: if a name of ``in_domain`` is that of no test set.
    """
    by_set: dict[tuple[str, str], list[Utterance]] = {}
    for directory in data_dirs:
        for utterance in read_utterances(directory, model):
            by_set.setdefault((utterance.language, utterance.domain), []).append(utterance)
    if in_domain is not None:
        check_in_domain(in_domain, {domain for _, domain in by_set})
    chosen = DEFAULT_IN_DOMAIN if in_domain is None else in_domain
    progress = Progress("analysis", sum(map(len, by_set.values())), "utterances")
    sets, utterances = [], {}
    for (language, domain), members in sorted(by_set.items()):
        facts, own = _analyze_set(model, members, progress)
        group = group_of(domain, chosen)
        sets.append({"language": language, "domain": domain, "group": group, **facts})
        for key, values in own.items():
            utterances[key] = {"language": language, "domain": domain, **values}
    progress.close()
    return {
        "format": FORMAT,
        "transport": {
            "anchor_mass": SETTINGS.anchor_mass,
            "epsilon": SETTINGS.epsilon,
            "max_iterations": SETTINGS.max_iterations,
            "tolerance": SETTINGS.tolerance,
        },
        "candidates": CANDIDATES,
        "mismatches": MISMATCHES,
        "sets": sets,
        "utterances": utterances,
    }


def _analyze_set(
    model: SpokenLanguageModel, members: list[Utterance], progress: Progress
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Means of one (language, test set), and the figures of its utterances."""
    anchor = model.llm.anchor_id
    speech = embed_speech(model, members)
    device = model.projector.gain.device
    transcripts = make_transcripts(
        [u.tokens for u in members], anchor, lambda ids: model.llm.embed(ids.to(device))
    )
    keys = [u.key for u in members]
    tokens = [frozenset(distinct(u.tokens, anchor)) for u in members]
    candidates = fixed_candidates(keys, tokens)
    ranks = _ranks([speech[members[i].key] for i in candidates], transcripts[candidates])
    by_index = dict(zip(candidates, ranks, strict=True))
    own: dict[str, dict[str, Any]] = {}
    for index, utterance in enumerate(members):
        others = mismatches(keys, tokens, index)
        values = _gap(speech[utterance.key], transcripts[[index, *others]])
        values["length_difference"] = _mean(
            [abs(len(tokens[o]) - len(tokens[index])) for o in others]
        )
        values.update({f"rank_{k}": rank for k, rank in by_index.get(index, {}).items()})
        if model.readout is not None:
            best = model.readout.log_probs(speech[utterance.key][None])[0].argmax(-1)
            values["blank_frames"] = 100.0 * float((best == 0).float().mean())
        own[utterance.key] = values
        progress.advance(1)
    facts: dict[str, Any] = {"utterances": len(members), "candidates": len(candidates)}
    facts["chance"] = 100.0 / len(candidates)
    for name in (*_GAP_KEYS, "length_difference", "anchor_frames", "blank_frames"):
        facts[name] = _mean([v[name] for v in own.values() if v.get(name) is not None])
    for name in RETRIEVALS:
        facts[f"retrieval_{name}"] = 100.0 * sum(r[name] == 1 for r in ranks) / len(ranks)
        facts[f"reciprocal_rank_{name}"] = _mean([1 / r[name] for r in ranks])
    facts["speech_anisotropy"] = anisotropy(torch.cat(list(speech.values())))
    facts["text_anisotropy"] = anisotropy(transcripts.table[1:])
    return facts, own


_GAP_KEYS = (
    "matched_cosine",
    "mismatched_cosine",
    "gap_cosine",
    "matched_transport",
    "mismatched_transport",
    "gap_transport",
)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _gap(speech: Tensor, transcripts: Transcripts) -> dict[str, Any]:
    """Distances to the own transcript, which comes first, and to the others.

    A gap above zero means that the own transcript is nearer.
    """
    measured = compare(speech, transcripts)
    values: dict[str, Any] = {"anchor_frames": 100.0 * anchor_frames(measured.coupling[0])}
    for name, numbers, sign in (
        ("cosine", measured.best_cosine.tolist(), 1.0),
        ("transport", measured.transport.tolist(), -1.0),
    ):
        others = _mean(numbers[1:])
        values[f"matched_{name}"] = numbers[0]
        values[f"mismatched_{name}"] = others
        values[f"gap_{name}"] = None if others is None else sign * (numbers[0] - others)
    return values


def _ranks(speech: Sequence[Tensor], transcripts: Transcripts) -> list[dict[str, int]]:
    """The place, from 1, of each utterance's own transcript among those of all.

    Some transcripts lie near to any speech, short ones most of all. So from each score the mean
    score of its transcript over all utterances is taken; ``raw`` ranks are without that.

    Args:
        speech: (S, D) of each of K utterances.
        transcripts: theirs, in the same order.
    """
    measured = [compare(one, transcripts) for one in speech]
    cosine = torch.stack([m.best_cosine for m in measured])  # (K, K), speech by transcript
    transport = -torch.stack([m.transport for m in measured])
    places = {
        "cosine": _places(cosine - cosine.mean(0)),
        "transport": _places(transport - transport.mean(0)),
        "cosine_raw": _places(cosine),
        "transport_raw": _places(transport),
    }
    return [{name: places[name][k] for name in RETRIEVALS} for k in range(len(speech))]


def _places(scores: Tensor) -> list[int]:
    """For each row of (K, K) scores the place of the diagonal, from 1.

    >>> _places(torch.tensor([[0.5, 0.1], [0.9, 0.2]]))
    [1, 2]
    """
    return [1 + int(better) for better in (scores > scores.diag()[:, None]).sum(1)]


def fixed_candidates(keys: Sequence[str], tokens: Sequence[frozenset[int]]) -> list[int]:
    """Indices of the :data:`CANDIDATES` utterances with the lowest sha256 of their id.

    Of utterances with the same tokens only the first one is taken: nobody could tell their
    transcripts apart.

    >>> fixed_candidates(["a", "b", "c"], [frozenset({5}), frozenset({5}), frozenset({6})])
    [2, 1]
    """
    seen: set[frozenset[int]] = set()
    chosen: list[int] = []
    for index in sorted(range(len(keys)), key=lambda i: digest(keys[i])):
        if tokens[index] not in seen and len(chosen) < CANDIDATES:
            seen.add(tokens[index])
            chosen.append(index)
    return chosen


def mismatches(keys: Sequence[str], tokens: Sequence[frozenset[int]], index: int) -> list[int]:
    """Indices of the :data:`MISMATCHES` other transcripts nearest in number of distinct tokens.

    Among those equally near the sha256 of both ids decides, so that each utterance gets others.

    >>> sets = [frozenset({1, 2}), frozenset({1, 2}), frozenset({3}), frozenset({4, 5})]
    >>> mismatches(["a", "b", "c", "d"], sets, 0)
    [3, 2]
    """

    def order(other: int) -> tuple[int, str]:
        farness = abs(len(tokens[other]) - len(tokens[index]))
        return farness, digest(f"{keys[index]} {keys[other]}")

    others = [other for other in range(len(keys)) if tokens[other] != tokens[index]]
    return sorted(others, key=order)[:MISMATCHES]
