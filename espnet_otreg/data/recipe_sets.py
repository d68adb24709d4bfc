"""From prepared corpora to the sets of a recipe: train, dev, test and ood."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from espnet_otreg.data.combine import pool, without_texts_of
from espnet_otreg.data.kaldi_dir import read_data_dir, write_data_dir
from espnet_otreg.data.prep_log import format_prep_logs
from espnet_otreg.data.split import check_record, fingerprint, split_by_text
from espnet_otreg.files import read_json, write_json


def make_sets(
    in_domain: Sequence[str | Path],
    out_of_domain: Sequence[str | Path],
    output_dir: str | Path,
    record: str | Path,
) -> str:
    """Write ``<output_dir>/{train,dev,test,ood}`` and ``prep_log.json``.

    Args:
        in_domain: data directories that are split by normalised text.
        out_of_domain: data directories that are pooled; texts of train are taken out.
        output_dir: gets the sets.
        record: the fingerprints that the sets must have; made if it does not exist.

    Returns:
        The table of what was kept and dropped.

    Raises:
        UserError: if the sets are not the recorded ones; nothing is written then.
    """
    output_dir = Path(output_dir)
    sets = split_by_text(pool(map(read_data_dir, in_domain)))
    sets["ood"], seen = without_texts_of(pool(map(read_data_dir, out_of_domain)), sets["train"])
    check_record(sets, record)
    for name, utterances in sets.items():
        write_data_dir(output_dir / name, utterances)
    logs = [Path(directory) / "prep_log.json" for directory in (*in_domain, *out_of_domain)]
    write_json(
        output_dir / "prep_log.json",
        {
            "corpora": [read_json(log) for log in logs if log.exists()],
            "in_training": [utterance.utterance_id for utterance in seen],
            "sets": {name: fingerprint(utterances) for name, utterances in sets.items()},
        },
    )
    counts = ", ".join(f"{name} {len(utterances)}" for name, utterances in sets.items())
    return (
        f"{format_prep_logs(log for log in logs if log.exists())}\n"
        f"taken out of ood, because their text is in train: {len(seen)}\n"
        f"utterances: {counts} (as recorded in {record})"
    )
