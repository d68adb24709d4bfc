"""From finished parts to the results of a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from espnet_otreg.decoding.data import DataSet, mismatched
from espnet_otreg.decoding.joint import JointWeights, ranked, tune
from espnet_otreg.decoding.parts import Merged, Part, merge, write_results
from espnet_otreg.decoding.status import count_status, read_references
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, write_json

JOINT_FILE = "joint.json"  # beside the results of the set that the weights were chosen on
DECODE_FILE = "decode.json"  # the same, in a packed directory


def _languages(data: DataSet) -> dict[str, str]:
    return {u.key: u.language for u in data.utterances}


def choose_joint_weights(data: DataSet, parts: Sequence[Part], output: Path) -> JointWeights:
    """Choose the weights of joint decoding on a development set, and write ``joint.json``.

    Raises:
        UserError: if the set has no transcripts.
    """
    candidates = merge(parts).candidates
    references = read_references(data.directory, candidates.keys())
    if references is None:
        raise UserError(
            "not every utterance has a transcript here, so no weight can be chosen",
            str(data.directory / "text"),
            "give a development set as --joint_weight_dev, or --joint_weight",
        )
    tuned = tune(candidates, references, _languages(data))
    write_json(output / "joint" / data.name / JOINT_FILE, tuned.to_json(data.name))
    return tuned.weights


def find_joint_weights(model_dir: Path) -> JointWeights | None:
    """The weights chosen for a model: in ``decode.json`` if it is packed, else by stage 10."""
    for path in [model_dir / DECODE_FILE, *sorted(model_dir.glob(f"joint/*/{JOINT_FILE}"))]:
        if path.is_file():
            record = read_json(path)
            return JointWeights(**{f.name: record[f.name] for f in fields(JointWeights)})
    return None


def write_set(
    data: DataSet,
    mode: str,
    parts: Mapping[str, Sequence[Part]],
    output: Path,
    facts: Mapping[str, Any],
    weights: JointWeights,
) -> None:
    """Write ``text``, ``score``, ``status.json`` and perhaps ``nbest.json`` of a mode of a set.

    Args:
        data: the set.
        mode: of decoding.
        parts: mode -> its finished parts.
        output: all modes lie below it.
        facts: model and options, for ``status.json``.
        weights: of mode joint.
    """
    facts = {**facts, "mode": mode, "set": data.name}
    merged = merge(parts["llm" if mode == "llm_shuffled" else mode])
    if mode == "joint":
        merged = _jointly(merged, weights)
        facts["joint_weights"] = asdict(weights)
    elif mode == "llm_shuffled":
        merged = _shuffled(merged, data)
    references = read_references(data.directory, merged.text.keys())
    counts = count_status(merged.text, _languages(data), references, merged.limit_reached)
    status = {**counts, **facts, "seconds": round(merged.seconds, 2)}
    write_results(output / mode / data.name, merged, status)


def _jointly(merged: Merged, weights: JointWeights) -> Merged:
    order = {key: ranked(several, weights) for key, several in merged.candidates.items()}
    return Merged(
        text={key: several[0].text for key, several in order.items()},
        score={key: f"{several[0].score:.6f}" for key, several in order.items()},
        nbest={key: [asdict(h) for h in several] for key, several in order.items()},
        candidates={},
        limit_reached={key for key, several in order.items() if several[0].hit_limit},
        seconds=merged.seconds,
    )


def _shuffled(merged: Merged, data: DataSet) -> Merged:
    """The hypotheses of the speech of others: prompt and LLM are the same within a language."""
    given = mismatched(data.utterances)
    return Merged(
        text={key: merged.text[other] for key, other in given.items()},
        score={key: merged.score[other] for key, other in given.items()},
        nbest={},
        candidates={},
        limit_reached={key for key, other in given.items() if other in merged.limit_reached},
        seconds=0.0,
    )
