"""A data directory of speech made from text: planned, spoken in parallel, checked, resumable."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from espnet_otreg.data.digests import UTT2DIGEST
from espnet_otreg.data.kaldi_dir import Utterance, write_table, write_tables
from espnet_otreg.data.synthesis.plan import Plan, Planned
from espnet_otreg.data.synthesis.request import Answer, Request
from espnet_otreg.data.synthesis.speaking import Speaker
from espnet_otreg.errors import UserError
from espnet_otreg.files import lock_directory, write_json
from espnet_otreg.progress import Progress
from espnet_otreg.shards import Shard, fingerprint_of, read_record, remove_others

RATE = 16000
REPORT = "synthesis.json"
_OF_A_SHARD = 100  # utterances: what a kill costs at most, for each process
_SILENT = 0.01  # of full scale
_MOST_FAULTS = 0.2  # of a shard; more is no odd sentence but a broken engine


@dataclass(frozen=True)
class SpokenReport:
    """What was made.

    Attributes:
        utterances, seconds: kept ones by "language engine", and the length of their speech.
        faults: utterance -> why it was left out.
        spoken_seconds, wall_seconds: speech that this run made, and how long it took.
    """

    utterances: dict[str, int]
    seconds: dict[str, float]
    faults: dict[str, str]
    spoken_seconds: float
    wall_seconds: float

    @property
    def hours(self) -> float:
        """All speech in the directory."""
        return sum(self.seconds.values()) / 3600


def fault_of(planned: Planned, answer: Answer) -> str:
    """Why speech cannot be what the text says; empty if it can.

    Args:
        planned: the utterance.
        answer: what the speaker says of it.

    >>> hello = Planned("a", "en", "pico", "en-GB", "good morning", "good morning", 1.0, 1.0)
    >>> fault_of(hello, Answer(0.9, 0.4)), fault_of(hello, Answer(0.9, 0.001))
    ('', 'silent')
    >>> fault_of(hello, Answer(0.1, 0.4)), fault_of(hello, Answer(30.0, 0.4))
    ('too short for its text', 'too long for its text')
    """
    if answer.error:
        return answer.error
    letters = len(planned.text)
    # No engine says more than fifty letters in a second, nor less than three once it speaks.
    if answer.seconds * planned.speed < max(0.15, letters / 50):
        return "too short for its text"
    if answer.seconds * planned.speed > 1.5 + 0.35 * letters:
        return "too long for its text"
    return "silent" if answer.peak < _SILENT else ""


def _request(planned: Planned, directory: Path) -> Request:
    path = str(directory / f"{planned.utterance_id}.wav")
    named = (planned.engine, planned.voice, planned.said, path)
    return Request(*named, speed=planned.speed, pitch=planned.pitch, rate=RATE)


def _shards(plan: Plan, directory: Path) -> list[tuple[Shard, Sequence[Planned]]]:
    """The utterances in parts; the order of the plan is kept, so every part has all engines."""
    shards: list[tuple[Shard, Sequence[Planned]]] = []
    for number, first in enumerate(range(0, len(plan.utterances), _OF_A_SHARD)):
        part = plan.utterances[first : first + _OF_A_SHARD]
        facts = [dataclasses.asdict(planned) for planned in part]
        shards.append((Shard(directory / f"{number:05d}", fingerprint_of(facts, RATE)), part))
    return shards


def _speak(
    shard: Shard,
    part: Sequence[Planned],
    progress: Progress,
    stop: threading.Event,
    voices_dir: Path | None,
) -> None:
    faults: dict[str, str] = {}
    seconds: dict[str, float] = {}
    with shard.writing() as about, Speaker(voices_dir) as speaker:
        for planned in part:
            if stop.is_set():
                raise UserError("stopped, since another process failed")
            request = _request(planned, shard.directory)
            answer = speaker.speak(request)
            if fault := fault_of(planned, answer):
                faults[planned.utterance_id] = fault
                Path(request.path).unlink(missing_ok=True)
            else:
                seconds[planned.utterance_id] = answer.seconds
            progress.advance(1)
        if len(faults) > max(2, _MOST_FAULTS * len(part)):
            first = min(faults)
            (planned,) = (one for one in part if one.utterance_id == first)
            raise UserError(
                f"{len(faults)} of {len(part)} utterances failed, the first: {faults[first]}",
                f"{planned.engine} {planned.voice} ({planned.said})",
                "take its voice out of synthesis.yaml, or install the engine again",
            )
        about |= {"seconds": seconds, "faults": faults}


def _speak_all(
    open_shards: Sequence[tuple[Shard, Sequence[Planned]]],
    done: int,
    jobs: int,
    voices_dir: Path | None,
) -> None:
    total = done + sum(len(part) for _, part in open_shards)
    progress = Progress("synthesis", total, "utterances", done=done)
    stop = threading.Event()
    with ThreadPoolExecutor(jobs) as threads:
        running = [threads.submit(_speak, *one, progress, stop, voices_dir) for one in open_shards]
        try:
            for future in running:
                future.result()
        except BaseException:
            stop.set()
            threads.shutdown(cancel_futures=True)
            raise
    progress.close()


def speak_plan(
    plan: Plan, output_dir: str | Path, jobs: int = 1, voices_dir: Path | None = None
) -> SpokenReport:
    """Speak a plan into a data directory: 16 kHz mono WAV files and the tables of stage format.

    Run it again after an interruption: finished parts are kept, and what is made is the same.

    Args:
        plan: see :func:`espnet_otreg.data.synthesis.plan.plan_speech`.
        output_dir: of the data directory; ``wavs/`` holds the parts.
        jobs: speakers at a time.
        voices_dir: directory of unpacked engines.

    Raises:
        UserError: if there is nothing to say, an engine fails or another run writes there.
    """
    output_dir = Path(output_dir)
    if not plan.utterances:
        raise UserError("no sentence is left to be spoken", str(output_dir), "give more text")
    start = time.monotonic()
    with lock_directory(output_dir):
        shards = _shards(plan, output_dir / "wavs")
        remove_others(output_dir / "wavs", [shard for shard, _ in shards])
        waiting = [(shard, part) for shard, part in shards if not shard.finished()]
        done = len(plan.utterances) - sum(len(part) for _, part in waiting)
        if waiting:
            for name in ("wav.scp", "text", UTT2DIGEST):
                (output_dir / name).unlink(missing_ok=True)
        _speak_all(waiting, done, jobs, voices_dir)
        made = {shard.directory for shard, _ in waiting}
        return _finish(shards, made, output_dir, start)


def _finish(
    shards: Sequence[tuple[Shard, Sequence[Planned]]],
    made: Collection[Path],
    output_dir: Path,
    start: float,
) -> SpokenReport:
    """Write the tables."""
    utterances: list[Utterance] = []
    lengths: dict[str, float] = {}
    digests: dict[str, str] = {}
    faults: dict[str, str] = {}
    counts: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    spoken = 0.0
    for shard, part in shards:
        record = read_record(shard.directory)
        lengths |= record["about"]["seconds"]
        faults |= record["about"]["faults"]
        spoken += sum(record["about"]["seconds"].values()) * (shard.directory in made)
        for planned in part:
            key = planned.utterance_id
            if key not in lengths:
                continue
            digests[key] = record["files"][f"{key}.wav"]["sha256"]
            counts[f"{planned.language} {planned.engine}"] += 1
            seconds[f"{planned.language} {planned.engine}"] += lengths[key]
            utterances.append(
                Utterance(
                    key,
                    str(shard.directory / f"{key}.wav"),
                    planned.text,
                    planned.said,
                    planned.language,
                    planned.speaker,
                    f"synthetic_{planned.engine}",
                )
            )
    samples = {key: round(length * RATE) for key, length in lengths.items()}
    write_table(output_dir / "utt2num_samples", {key: str(n) for key, n in samples.items()})
    write_table(output_dir / "utt2dur", {key: f"{n / RATE:.4f}" for key, n in samples.items()})
    write_tables(output_dir, utterances)
    write_table(output_dir / UTT2DIGEST, digests)
    report = SpokenReport(
        dict(sorted(counts.items())),
        {key: round(value, 1) for key, value in sorted(seconds.items())},
        faults,
        spoken,
        time.monotonic() - start,
    )
    kept = dataclasses.asdict(report)
    del kept["spoken_seconds"], kept["wall_seconds"]  # of this run only
    write_json(output_dir / REPORT, kept)
    return report
