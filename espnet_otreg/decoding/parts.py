"""The files of decoding: parts that survive an interruption, and what is put together from them.

``OUTPUT/MODE/SET/logdir/output.K/`` holds part K: ``1best_recog/{text,score}`` (Kaldi style),
``nbest.json`` where there are several hypotheses, ``candidates.json`` for joint decoding, and,
written last, ``part.json``. ``OUTPUT/MODE/SET/{text,score,nbest.json,status.json}`` are put
together from all parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.decoding.hypothesis import Candidate, Hypothesis
from espnet_otreg.files import read_json, write_json
from espnet_otreg.shards import Shard, fingerprint_of


class Part(Shard):
    """One part of one mode of one set, in ``.../logdir/output.K``.

    Its fingerprint is of the model, the options and the content of the utterances.
    """

    def write(
        self,
        hypotheses: Mapping[str, Sequence[Hypothesis]],
        candidates: Mapping[str, Sequence[Candidate]],
        seconds: float,
    ) -> None:
        """Write the results of the part; ``part.json`` comes last."""
        best = {key: several[0] for key, several in hypotheses.items()}
        with self.writing() as about:
            if best:
                write_table(
                    self.directory / "1best_recog/text", {key: h.text for key, h in best.items()}
                )
                scores = {key: f"{h.score:.6f}" for key, h in best.items()}
                write_table(self.directory / "1best_recog/score", scores)
            if any(len(several) > 1 for several in hypotheses.values()):
                rows = {key: [asdict(h) for h in several] for key, several in hypotheses.items()}
                write_json(self.directory / "nbest.json", rows)
            if candidates:
                rows = {key: [asdict(c) for c in several] for key, several in candidates.items()}
                write_json(self.directory / "candidates.json", rows)
            about["seconds"] = seconds
            about["limit_reached"] = sorted(key for key, h in best.items() if h.hit_limit)


LOGDIR = "logdir"
TUNING = "tuning"  # parts of a development set that only weights are chosen from


def part_of(
    output: str | Path,
    mode: str,
    name: str,
    number: int,
    facts: Sequence[Any],
    logdir: str = LOGDIR,
) -> Part:
    """Part ``number`` (from 1) of a mode of a set; ``facts`` decide what is in it."""
    directory = Path(output) / mode / name / logdir / f"output.{number}"
    return Part(directory, fingerprint_of(mode, *facts))


@dataclass
class Merged:
    """All parts of a mode of a set together."""

    text: dict[str, str]
    score: dict[str, str]
    nbest: dict[str, list[dict[str, Any]]]
    candidates: dict[str, list[Candidate]]
    limit_reached: set[str]
    seconds: float


def merge(parts: Sequence[Part]) -> Merged:
    """Read finished parts."""
    merged = Merged({}, {}, {}, {}, set(), 0.0)
    for part in parts:
        best = part.directory / "1best_recog"
        if (best / "text").is_file():
            merged.text |= read_table(best / "text")
            merged.score |= read_table(best / "score")
        if (part.directory / "nbest.json").is_file():
            merged.nbest |= read_json(part.directory / "nbest.json")
        if (part.directory / "candidates.json").is_file():
            for key, several in read_json(part.directory / "candidates.json").items():
                merged.candidates[key] = [Candidate(**c) for c in several]
        about = part.about()
        merged.limit_reached |= set(about["limit_reached"])
        merged.seconds += about["seconds"]
    return merged


def write_results(directory: Path, merged: Merged, status: Mapping[str, Any]) -> None:
    """Write ``text``, ``score``, ``nbest.json`` (if any) and, last, ``status.json``."""
    (directory / "status.json").unlink(missing_ok=True)
    write_table(directory / "text", merged.text)
    write_table(directory / "score", merged.score)
    if merged.nbest:
        write_json(directory / "nbest.json", merged.nbest)
    else:
        (directory / "nbest.json").unlink(missing_ok=True)
    write_json(directory / "status.json", status)
