"""From finished parts to the results of a set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espnet_otreg.decoding.data import DataSet
from espnet_otreg.decoding.modes.base import Mode
from espnet_otreg.decoding.parts import Merged, write_results
from espnet_otreg.decoding.status import count_status, read_references


def write_set(
    data: DataSet, name: str, mode: Mode, found: Merged, output: Path, facts: Mapping[str, Any]
) -> None:
    """Write ``text``, ``score``, ``status.json`` and perhaps ``nbest.json`` of a mode of a set.

    Args:
        data: the set.
        name: of the mode.
        mode: of decoding, when everything is decoded.
        found: all parts together, of this mode or of the one it takes its hypotheses from.
        output: all modes lie below it.
        facts: the model, for ``status.json``.
    """
    results = mode.finish(found, data)
    references = read_references(data.directory, results.text.keys())
    counts = count_status(
        results.text,
        {u.key: u.language for u in data.utterances},
        references,
        results.limit_reached,
    )
    about = {"options": mode.decoding_options(), **mode.facts(), "mode": name, "set": data.name}
    status = {**counts, **facts, **about, "seconds": round(results.seconds, 2)}
    write_results(output / name / data.name, results, status)
