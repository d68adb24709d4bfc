"""Feature directories of several data directories as one, which training reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from espnet_otreg.data.digests import UNREADABLE, UTT2DIGEST
from espnet_otreg.data.kaldi_dir import read_table, write_spk2utt, write_table
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json, sha256_file, write_json

_TABLES = ("feats.scp", "text", "utt2lang", "utt2domain", "utt2dur", UTT2DIGEST)
_SAME = ("encoder_sha256", "layer", "dim", "frame_seconds", "trailing_silence")


def _pooled(name: str, inputs: Sequence[Path]) -> dict[str, str]:
    """One table of all directories."""
    pooled: dict[str, str] = {}
    for directory in inputs:
        table = read_table(directory / name)
        if twice := pooled.keys() & table.keys():
            raise UserError(
                f"utterance '{min(twice)}' comes twice", str(directory / name), "rename it"
            )
        pooled |= table
    return pooled


def combine_features(inputs: Sequence[str | Path], output: str | Path) -> int:
    """Pool feature directories; their archives stay where they are.

    Args:
        inputs: directories that ``extract_features`` made, of the same encoder.
        output: directory to write; ``feats.json``, which comes last, is that of the first input
            with the content of all.

    Returns:
        The number of utterances.

    Raises:
        UserError: if the features differ in kind, or two utterances share an id.
    """
    directories, output = [Path(name) for name in inputs], Path(output)
    records = [read_json(directory / "feats.json") for directory in directories]
    for directory, record in zip(directories, records, strict=True):
        if "fingerprint" not in record:
            raise UserError(
                "features that were not made by extract_features", str(directory), "extract them"
            )
        for key in _SAME:
            if record.get(key) != records[0].get(key):
                raise UserError(
                    f"{key} is {record.get(key)}, that of {directories[0]} {records[0].get(key)}",
                    str(directory / "feats.json"),
                    "extract the features with the same encoder",
                )
    (output / "feats.json").unlink(missing_ok=True)
    for name in _TABLES:
        write_table(output / name, _pooled(name, directories))
    speakers = [directory for directory in directories if (directory / "utt2spk").is_file()]
    if len(speakers) == len(directories):
        write_spk2utt(output, _pooled("utt2spk", directories))
    left_out = [d / UNREADABLE for d in directories if (d / UNREADABLE).is_file()]
    (output / UNREADABLE).unlink(missing_ok=True)
    if left_out:
        write_table(output / UNREADABLE, _pooled(UNREADABLE, [path.parent for path in left_out]))
    prints = "".join(record["fingerprint"] for record in records)
    record = {
        **records[0],
        "fingerprint": hashlib.sha256(prints.encode()).hexdigest(),
        "content": sha256_file(output / UTT2DIGEST),
        "unreadable": sha256_file(output / UNREADABLE) if left_out else None,
    }
    write_json(output / "feats.json", record)
    return len(read_table(output / "feats.scp"))
