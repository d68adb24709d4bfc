"""The weights of candidates in files: chosen on a development set, found again later."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from espnet_otreg.decoding.data import DataSet
from espnet_otreg.decoding.hypothesis import Candidate
from espnet_otreg.decoding.joint import SEARCH_WEIGHTS, Grid, JointWeights, Tuned, tune
from espnet_otreg.decoding.status import read_references
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, write_json

JOINT_FILE = "joint.json"  # beside the results of the set that the weights were chosen on
DECODE_FILE = "decode.json"  # the same, in a packed directory


def tune_on(data: DataSet, candidates: Mapping[str, Sequence[Candidate]], grid: Grid) -> Tuned:
    """Choose weights on a development set.

    Args:
        data: the development set.
        candidates: of its utterances.
        grid: what is tried.

    Raises:
        UserError: if the set has no transcripts.
    """
    references = read_references(data.directory, candidates.keys())
    if references is None:
        raise UserError(
            "not every utterance has a transcript here, so no weight can be chosen",
            str(data.directory / "text"),
            "give a development set as --weights_dev, or the weights",
        )
    return tune(candidates, references, {u.key: u.language for u in data.utterances}, grid)


def write_weights(path: Path, tuned: Tuned, search: JointWeights, chosen_on: str) -> None:
    """Write the weights that choose and those of the search, and say what lies at an edge.

    Args:
        path: of the file.
        tuned: how the weights were chosen.
        search: what was searched with.
        chosen_on: name of the development set.
    """
    for edge in tuned.edges:
        logging.warning("%s: %s is at the edge of the grid; others may be better", path, edge)
    write_json(path, {**tuned.to_json(chosen_on), "search": asdict(search)})


def find_joint_weights(model_dir: Path) -> tuple[JointWeights, JointWeights] | None:
    """The weights that choose and those of the search of mode joint, as a development set has
    chosen them: in ``decode.json`` if the model is packed, else by stage 11."""
    for path in [model_dir / DECODE_FILE, *sorted(model_dir.glob(f"joint/*/{JOINT_FILE}"))]:
        if path.is_file():
            record = read_json(path)
            search = record.get("search", asdict(SEARCH_WEIGHTS))
            chosen = JointWeights(**{f.name: record[f.name] for f in fields(JointWeights)})
            return chosen, JointWeights(**search)
    return None
