"""From prepared corpora to the sets of a recipe: train, preference, dev, test and ood."""

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
    training: Sequence[str | Path] = (),
    same_texts: Sequence[str | Path] = (),
) -> str:
    """Write ``<output_dir>/{train,preference,dev,test,ood}`` and ``prep_log.json``.

    Args:
        in_domain: data directories that are split by normalised text.
        out_of_domain: data directories that are pooled; texts of train and preference are taken
            out.
        output_dir: gets the sets.
        record: the fingerprints that the sets must have; made if it does not exist.
        training: more data directories for train; texts of all other sets are taken out.
        same_texts: more data directories for ood, whose texts may be those of train: the same
            prompts by another speaker.

    Returns:
        The table of what was kept and dropped.

    Raises:
        UserError: if the sets are not the recorded ones; nothing is written then.
    """
    output_dir = Path(output_dir)
    sets = split_by_text(pool(map(read_data_dir, in_domain)))
    own_texts = [*sets["train"], *sets["preference"]]
    sets["ood"], seen = without_texts_of(pool(map(read_data_dir, out_of_domain)), own_texts)
    sets["ood"] = pool([sets["ood"], *map(read_data_dir, same_texts)])
    others = [utterance for name, part in sets.items() if name != "train" for utterance in part]
    more, evaluated = without_texts_of(pool(map(read_data_dir, training)), others)
    sets["train"] = pool([sets["train"], more])
    check_record(sets, record)
    for name, utterances in sets.items():
        write_data_dir(output_dir / name, utterances)
    directories = (*in_domain, *training, *out_of_domain, *same_texts)
    logs = [Path(directory) / "prep_log.json" for directory in directories]
    write_json(
        output_dir / "prep_log.json",
        {
            "corpora": [read_json(log) for log in logs if log.exists()],
            "in_training": [utterance.utterance_id for utterance in seen],
            "in_other_sets": [utterance.utterance_id for utterance in evaluated],
            "sets": {name: fingerprint(utterances) for name, utterances in sets.items()},
        },
    )
    counts = ", ".join(f"{name} {len(utterances)}" for name, utterances in sets.items())
    return (
        f"{format_prep_logs(log for log in logs if log.exists())}\n"
        f"taken out of ood, because their text is in train or preference: {len(seen)}\n"
        f"taken out of train, because their text is in another set: {len(evaluated)}\n"
        f"utterances: {counts} (as recorded in {record})"
    )
