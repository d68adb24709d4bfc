"""Leave out of a data directory what others have not confirmed."""

from __future__ import annotations

from pathlib import Path

from espnet_otreg.data.audio import audio_seconds
from espnet_otreg.data.kaldi_dir import read_data_dir, write_data_dir
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.errors import UserError
from espnet_otreg.utf8 import read_utf8


def read_ids(path: str | Path) -> set[str]:
    """The ids of a list, one on a line; lines that begin with ``#`` are remarks.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "kept.txt"
    >>> _ = path.write_text("# by ear\\nit_a\\n")
    >>> read_ids(path)
    {'it_a'}
    """
    lines = (line.strip() for line in read_utf8(path).splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def keep_listed(directory: str | Path, ids: str | Path, log: PrepLog) -> None:
    """Keep the utterances of a list, and log the others as not confirmed.

    Args:
        directory: a prepared data directory; is written anew.
        ids: file, see :func:`read_ids`.
        log: of the directory.

    Raises:
        UserError: if the list names an utterance that is not there.
    """
    listed = read_ids(ids)
    utterances = read_data_dir(directory)
    if unknown := sorted(listed - {utterance.utterance_id for utterance in utterances}):
        raise UserError(
            f"there is no utterance '{unknown[0]}'", str(ids), "make the list again, or mend it"
        )
    for utterance in utterances:
        if utterance.utterance_id not in listed:
            log.drop("unconfirmed", utterance.utterance_id)
    kept = [utterance for utterance in utterances if utterance.utterance_id in listed]
    log.kept, log.seconds = len(kept), sum(audio_seconds(utterance.wav) for utterance in kept)
    write_data_dir(directory, kept)
    log.write(directory)
