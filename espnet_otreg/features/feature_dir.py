"""What a feature directory is made of, and which parts of it are there already.

The work is cut into jobs, each a shard with one archive (:mod:`espnet_otreg.shards`): a run that
was interrupted, or finds an archive damaged, redoes only those jobs. Tables and ``feats.json`` come
last. No torch here: a finished directory is recognised without it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from espnet_otreg.data.audio.recording import Recording, read_recordings
from espnet_otreg.data.digests import UNREADABLE, UTT2DIGEST, read_digests
from espnet_otreg.data.kaldi_dir import read_table, write_spk2utt, write_table
from espnet_otreg.errors import UserError
from espnet_otreg.features.augment import AugmentConfig
from espnet_otreg.files import read_json, sha256_file, write_json
from espnet_otreg.shards import Shard, fingerprint_of, remove_others

SAMPLE_RATE = 16000
ARCHIVE = "feats.ark"
COPIED_TABLES = ("text", "text.raw", "utt2lang", "utt2domain")
_BYTES_PER_JOB = 600 * SAMPLE_RATE * 2  # ten minutes of 16-bit audio


@dataclasses.dataclass(frozen=True)
class FeatureOptions:
    """What decides the numbers in the features.

    Args:
        model: local directory of a Whisper, wav2vec 2.0 or w2v-BERT model.
        model_sha256: digest of its weights.
        trailing_silence: seconds appended to each utterance.
        dtype: ``"float32"`` or ``"bfloat16"``, in which the encoder computes and the archive holds
            the numbers (correct to two digits, half as large, and where the processor has such
            instructions several times faster).
        layer: of the encoder, behind which the features are taken; None for its output.
        augment_copies: augmented copies of each utterance.
        originals: write the unaugmented utterances too.
        seed: of the augmentation.
        augmentation: its probabilities and ranges.
    """

    model: str
    model_sha256: str
    trailing_silence: float = 0.5
    dtype: str = "float32"
    layer: int | None = None
    augment_copies: int = 0
    originals: bool = True
    seed: int = 0
    augmentation: AugmentConfig = AugmentConfig()

    def copies(self) -> range:
        """Numbers of the copies to make; 0 is the original."""
        return range(0 if self.originals else 1, self.augment_copies + 1)


@dataclasses.dataclass(frozen=True)
class Item:
    """One copy of one utterance.

    Attributes:
        utterance: its id.
        copy: 0 is the original.
        wav: its recording.
        bytes: of the recording, a measure of the work.
        digest: of the recording's content.
    """

    utterance: str
    copy: int
    wav: Recording
    bytes: int
    digest: str = ""

    @property
    def key(self) -> str:
        """Id of the copy."""
        return copy_key(self.utterance, self.copy)


def copy_key(utterance: str, copy: int) -> str:
    """The id of a copy: ``aug<n>_`` is put before the original's.

    >>> copy_key("it_core_1", 0), copy_key("it_core_1", 2)
    ('it_core_1', 'aug2_it_core_1')
    """
    return f"aug{copy}_{utterance}" if copy else utterance


def list_items(data: str | Path, options: FeatureOptions) -> list[Item]:
    """Everything to be encoded, sorted by key.

    Raises:
        UserError: if wav.scp is missing, malformed or names a missing file.
    """
    data = Path(data)
    if not (data / "wav.scp").is_file():
        raise UserError("no wav.scp there", str(data), "give a data directory as --data")
    items = []
    recordings = read_recordings(data / "wav.scp")
    for utterance, wav in recordings.items():
        if not Path(wav.path).is_file():
            raise UserError("the audio file is missing", f"utterance {utterance} ({wav})")
    digests = read_digests(data, recordings)
    for utterance, wav in recordings.items():
        size, digest = wav.bytes(), digests[utterance]
        items += [Item(utterance, copy, wav, size, digest) for copy in options.copies()]
    if not items:
        raise UserError("no utterance there", str(data / "wav.scp"))
    return sorted(items, key=lambda item: item.key)


def too_long(item: Item, seconds: float, limit: float) -> UserError:
    """The error for a recording that the encoder cannot take whole."""
    return UserError(
        f"the recording lasts {seconds:.1f} s, more than the {limit:.0f} s that the encoder takes",
        f"utterance {item.utterance} ({item.wav})",
        "cut or remove it",
    )


def check_durations(data: str | Path, items: Sequence[Item], limit: float) -> None:
    """Find over-long recordings before the work begins, where the directory has utt2dur.

    Args:
        data: the data directory.
        items: what is to be encoded.
        limit: seconds that the encoder takes.

    Raises:
        UserError: naming the first one.
    """
    if not (Path(data) / "utt2dur").is_file():
        return
    durations = read_table(Path(data) / "utt2dur")
    for item in items:
        seconds = float(durations.get(item.utterance, 0.0))
        if seconds > limit:
            raise too_long(item, seconds, limit)


def default_job_count(items: Sequence[Item], nj: int) -> int:
    """Jobs of at most ten minutes of audio (what an interruption can cost), a multiple of ``nj``.

    >>> default_job_count([Item("a", 0, Recording("a.wav"), 50_000_000)], nj=2)
    4
    """
    total = sum(item.bytes for item in items)
    return nj * min(1000, max(1, math.ceil(total / (_BYTES_PER_JOB * nj))))


def fingerprint(items: Sequence[Item], options: FeatureOptions) -> str:
    """Digest of a job's recordings and options; a finished job with the same one is kept."""
    settings = dataclasses.asdict(options)
    settings.pop("model")  # its weights count, not where they lie
    if options.layer is None:
        settings.pop("layer")  # as when there was no choice
    return fingerprint_of(settings, [[item.key, item.digest] for item in items])


def job_directory(output: str | Path, job: int) -> Path:
    """Where job number ``job`` (from 1) keeps its archive."""
    return Path(output) / "jobs" / str(job)


def shard_of(output: str | Path, job: int, items: Sequence[Item], options: FeatureOptions) -> Shard:
    """The archive of a job and what it is made from."""
    return Shard(job_directory(output, job), fingerprint(items, options))


def split_jobs(items: Sequence[Item], count: int) -> dict[int, list[Item]]:
    """Deal the items out to jobs 1..count, so that each gets its share of every length."""
    return {job: list(items[job - 1 :: count]) for job in range(1, count + 1)}


def merged_jobs(output: str | Path, items: Sequence[Item], options: FeatureOptions) -> int | None:
    """Into how many jobs the work was cut, if the tables are those of these items and options."""
    path = Path(output) / "feats.json"
    record = read_json(path) if path.is_file() else {}
    if record.get("fingerprint") != fingerprint(items, options):
        return None
    return record.get("jobs")


def merge_jobs(
    data: str | Path,
    output: str | Path,
    items: Sequence[Item],
    options: FeatureOptions,
    shards: Sequence[Shard],
    jobs: int,
    encoder_name: str,
) -> None:
    """Write the tables of the finished jobs; ``feats.json`` comes last.

    Args:
        data: the data directory that was encoded.
        output: the feature directory.
        items: all its items.
        options: as given to the jobs.
        shards: the finished jobs.
        jobs: number of jobs that the work was cut into.
        encoder_name: the model as the user called it, for ``feats.json``.
    """
    data, output = Path(data), Path(output)
    (output / "feats.json").unlink(missing_ok=True)  # a half-merged directory is not complete
    archives: dict[str, str] = {}
    seconds: dict[str, str] = {}
    digests: dict[str, str] = {}
    for shard in shards:
        about = shard.about()
        for key, (offset, duration, digest) in about["rows"].items():
            archives[key] = f"{shard.directory / ARCHIVE}:{offset}"
            seconds[key] = f"{duration:.3f}"
            digests[key] = digest
    for name in COPIED_TABLES:
        if (data / name).is_file():
            write_table(output / name, _for_copies(read_table(data / name), options))
    if (data / "utt2spk").is_file():
        write_spk2utt(output, _for_copies(read_table(data / "utt2spk"), options))
    write_table(output / "utt2dur", seconds)
    write_table(output / "feats.scp", archives)
    write_table(output / UTT2DIGEST, digests)
    unreadable = data / UNREADABLE
    if unreadable.is_file():
        write_table(output / UNREADABLE, read_table(unreadable))
    else:
        (output / UNREADABLE).unlink(missing_ok=True)
    remove_others(output / "jobs", shards)
    augmentation = {"seed": options.seed, **dataclasses.asdict(options.augmentation)}
    record = {
        "encoder": encoder_name,
        "encoder_sha256": options.model_sha256,
        "frame_seconds": about["frame_seconds"],
        "dim": about["dim"],
        "sample_rate": SAMPLE_RATE,
        "trailing_silence": options.trailing_silence,
        "dtype": options.dtype,
        "layer": options.layer,
        "copies": list(options.copies()),
        "augmentation": augmentation if options.augment_copies else None,
        "fingerprint": fingerprint(items, options),
        "jobs": jobs,
        "content": sha256_file(output / UTT2DIGEST),
        "unreadable": sha256_file(output / UNREADABLE) if unreadable.is_file() else None,
    }
    write_json(output / "feats.json", record)


def _for_copies(table: dict[str, str], options: FeatureOptions) -> dict[str, str]:
    return {copy_key(key, c): value for key, value in table.items() for c in options.copies()}
