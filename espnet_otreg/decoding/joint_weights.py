"""The weights of joint decoding in files: chosen on a development set, found again later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from espnet_otreg.decoding.data import DataSet
from espnet_otreg.decoding.hypothesis import Candidate
from espnet_otreg.decoding.joint import JointWeights, tune
from espnet_otreg.decoding.status import read_references
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, write_json

JOINT_FILE = "joint.json"  # beside the results of the set that the weights were chosen on
DECODE_FILE = "decode.json"  # the same, in a packed directory


def choose_joint_weights(
    data: DataSet, candidates: Mapping[str, Sequence[Candidate]], output: Path
) -> JointWeights:
    """Choose the weights of joint decoding on a development set, and write ``joint.json``.

    Args:
        data: the development set.
        candidates: of its utterances.
        output: where the results of all modes go.

    Raises:
        UserError: if the set has no transcripts.
    """
    references = read_references(data.directory, candidates.keys())
    if references is None:
        raise UserError(
            "not every utterance has a transcript here, so no weight can be chosen",
            str(data.directory / "text"),
            "give a development set as --joint_weight_dev, or --joint_weight",
        )
    tuned = tune(candidates, references, {u.key: u.language for u in data.utterances})
    write_json(output / "joint" / data.name / JOINT_FILE, tuned.to_json(data.name))
    return tuned.weights


def find_joint_weights(model_dir: Path) -> JointWeights | None:
    """The weights chosen for a model: in ``decode.json`` if it is packed, else by stage 10."""
    for path in [model_dir / DECODE_FILE, *sorted(model_dir.glob(f"joint/*/{JOINT_FILE}"))]:
        if path.is_file():
            record = read_json(path)
            return JointWeights(**{f.name: record[f.name] for f in fields(JointWeights)})
    return None
