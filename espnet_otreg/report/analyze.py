"""Stage 13: modality gap, retrieval, anchor and anisotropy of one model on its test sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from espnet_otreg.progress import Progress
from espnet_otreg.report.alignment import (
    SETTINGS,
    Anisotropy,
    Transcripts,
    anchor_frames,
    compare,
    distinct,
    make_transcripts,
)
from espnet_otreg.report.utterances import Utterance, digest, read_utterances, stream_speech
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
    beside: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of analysis.json.

    Args:
        model: in evaluation mode.
        data_dirs: test sets; results are by language and domain.
        in_domain: the domains that are in-domain; ``core_sounds`` if None.
        beside: domains that stand beside the out-of-domain sets.

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
        group = group_of(domain, chosen, beside)
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
    model: SpokenLanguageModel, members: Sequence[Utterance], progress: Progress
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Means of one (language, test set), and the figures of its utterances.

    Speech streams by: of an utterance some numbers are kept, of a candidate of the retrieval its
    scores, and never its embeddings, so that the memory does not grow with the test set.
    """
    anchor = model.llm.anchor_id
    device = model.projector.gain.device

    def embed(ids: Tensor) -> Tensor:
        return model.llm.embed(ids.to(device))

    def transcripts(indices: Sequence[int]) -> Transcripts:
        return make_transcripts([members[index].tokens for index in indices], anchor, embed)

    keys = [utterance.key for utterance in members]
    tokens = [frozenset(distinct(utterance.tokens, anchor)) for utterance in members]
    place = {key: index for index, key in enumerate(keys)}
    rivals = Mismatches(keys, tokens)
    candidates = fixed_candidates(keys, tokens)
    candidate_transcripts = transcripts(candidates)
    scores: dict[int, tuple[Tensor, Tensor]] = {}
    own: dict[str, dict[str, Any]] = {}
    speech_spread = Anisotropy()
    for utterance, speech in stream_speech(model, members):
        index = place[utterance.key]
        others = rivals.of(index)
        values = _gap(speech, transcripts([index, *others]))
        values["length_difference"] = _mean(
            [abs(len(tokens[other]) - len(tokens[index])) for other in others]
        )
        if model.readout is not None:
            best = model.readout.log_probs(speech[None])[0].argmax(-1)
            values["blank_frames"] = 100.0 * float((best == 0).float().mean())
        own[utterance.key] = values
        if index in candidates:
            measured = compare(speech, candidate_transcripts)
            scores[index] = measured.best_cosine, -measured.transport
        speech_spread.add(speech)
        progress.advance(1)
    ranks = _ranks([scores[index] for index in candidates])
    for index, places in zip(candidates, ranks, strict=True):
        own[keys[index]].update({f"rank_{name}": rank for name, rank in places.items()})
    facts: dict[str, Any] = {"utterances": len(members), "candidates": len(candidates)}
    facts["chance"] = 100.0 / len(candidates)
    for name in (*_GAP_KEYS, "length_difference", "anchor_frames", "blank_frames"):
        facts[name] = _mean([own[key][name] for key in keys if own[key].get(name) is not None])
    for name in RETRIEVALS:
        facts[f"retrieval_{name}"] = 100.0 * sum(r[name] == 1 for r in ranks) / len(ranks)
        facts[f"reciprocal_rank_{name}"] = _mean([1 / r[name] for r in ranks])
    facts["speech_anisotropy"] = speech_spread.value()
    facts["text_anisotropy"] = _text_anisotropy(tokens, embed)
    return facts, {key: own[key] for key in keys}


def _text_anisotropy(
    tokens: Sequence[frozenset[int]], embed: Callable[[Tensor], Tensor], at_once: int = 1024
) -> float:
    """Mean cosine of two different tokens of some transcripts; ``at_once`` are embedded at once."""
    used = sorted(frozenset().union(*tokens))
    spread = Anisotropy()
    for start in range(0, len(used), at_once):
        spread.add(embed(torch.tensor(used[start : start + at_once])).float())
    return spread.value()


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


def _ranks(scores: Sequence[tuple[Tensor, Tensor]]) -> list[dict[str, int]]:
    """The place, from 1, of each utterance's own transcript among those of all.

    Some transcripts lie near to any speech, short ones most of all. So from each score the mean
    score of its transcript over all utterances is taken; ``raw`` ranks are without that.

    Args:
        scores: of each of K utterances its nearness to the transcripts of all of them, in the same
            order: (K,) best cosines and (K,) negative transport costs.
    """
    cosine = torch.stack([cosine for cosine, _ in scores])  # (K, K), speech by transcript
    transport = torch.stack([transport for _, transport in scores])
    places = {
        "cosine": _places(cosine - cosine.mean(0)),
        "transport": _places(transport - transport.mean(0)),
        "cosine_raw": _places(cosine),
        "transport_raw": _places(transport),
    }
    return [{name: places[name][k] for name in RETRIEVALS} for k in range(len(scores))]


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


class Mismatches:
    """Other transcripts of like length, with which an utterance is compared.

    Args:
        keys: ids of the utterances of one language and test set.
        tokens: the distinct tokens of each.

    >>> sets = [frozenset({1, 2}), frozenset({1, 2}), frozenset({3}), frozenset({4, 5})]
    >>> Mismatches(["a", "b", "c", "d"], sets).of(0)
    [3, 2]
    """

    def __init__(self, keys: Sequence[str], tokens: Sequence[frozenset[int]]) -> None:
        self._keys, self._tokens = keys, tokens
        self._by_size: dict[int, list[int]] = {}
        for index, ids in enumerate(tokens):
            self._by_size.setdefault(len(ids), []).append(index)

    def of(self, index: int) -> list[int]:
        """Indices of the :data:`MISMATCHES` transcripts nearest in number of distinct tokens.

        Among those equally near the sha256 of both ids decides, so that each utterance gets others.
        """
        key, own = self._keys[index], self._tokens[index]

        def farness(size: int) -> int:
            return abs(size - len(own))

        chosen: list[int] = []
        # Nearest sizes first, so that not every pair of a large set needs its sha256.
        for _, sizes in groupby(sorted(self._by_size, key=farness), farness):
            equally_near = [
                other
                for size in sizes
                for other in self._by_size[size]
                if self._tokens[other] != own
            ]
            chosen += sorted(equally_near, key=lambda other: digest(f"{key} {self._keys[other]}"))
            if len(chosen) >= MISMATCHES:
                break
        return chosen[:MISMATCHES]
