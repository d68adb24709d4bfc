"""Small copies of published corpora in their publishers' exact layouts; the speech is tones."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

RATES = {".mp3": 48000}
SUBTYPES = {".opus": ("OGG", "OPUS"), ".ogg": ("OGG", "VORBIS"), ".wav": ("WAV", "FLOAT")}
# Header of a set's table, until release 16 and since release 17.
OLD_HEADER = "client_id path sentence up_votes down_votes age gender accents locale segment"
NEW_HEADER = (
    "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents "
    "variant locale segment"
)
VOXPOPULI_HEADER = "id raw_text normalized_text speaker_id split gender is_gold_transcript accent"


def write_speech(path: Path, text: str) -> float:
    """Each letter sounds at its own pitch for 60 ms; the format is the name's. Gives seconds."""
    rate = RATES.get(path.suffix, 16000)
    time = np.arange(rate * 60 // 1000) / rate
    letters = [np.sin(2 * np.pi * (150 + 40 * (ord(letter) % 64)) * time) for letter in text]
    noise = 0.02 * np.random.default_rng(len(text)).standard_normal(len(time) * len(letters))
    samples = (0.5 * np.concatenate(letters) + noise).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    container, subtype = SUBTYPES.get(path.suffix, (path.suffix[1:].upper(), None))
    soundfile.write(path, samples, rate, format=container, subtype=subtype)
    return len(samples) / rate


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_table(path: Path, header: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Tab-separated; cells that a row does not give are empty."""
    names = header.split()
    lines = ["\t".join(row.get(name, "") for name in names) for row in rows]
    write_lines(path, ["\t".join(names), *lines])


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    """A ``.tar.gz`` with exactly these members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def tar_up(directory: Path, archive: Path, parent: Path) -> None:
    """Pack the files of a directory, named from ``parent`` on, and remove them."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    write_tar(archive, {p.relative_to(parent).as_posix(): p.read_bytes() for p in files})
    for path in files:
        path.unlink()


def write_librispeech(root: Path, subset: str, chapters: Mapping[str, Sequence[str]]) -> None:
    """``chapters``: "SPEAKER-CHAPTER" -> texts, upper case; also adds to SPEAKERS.TXT."""
    base = root / "LibriSpeech"
    speakers = base / "SPEAKERS.TXT"
    if not speakers.exists():
        write_lines(speakers, ["; Some pieces of information", ";ID  |SEX| SUBSET |MINUTES| NAME"])
    for chapter, texts in chapters.items():
        speaker, number = chapter.split("-")
        with speakers.open("a", encoding="utf-8") as file:
            file.write(f"{speaker:<5}| F | {subset:<16} | 8.02  | A. Reader | of books\n")
        directory = base / subset / speaker / number
        names = [f"{chapter}-{n:04d}" for n in range(len(texts))]
        for name, text in zip(names, texts, strict=True):
            write_speech(directory / f"{name}.flac", text)
        lines = [f"{name} {text}" for name, text in zip(names, texts, strict=True)]
        write_lines(directory / f"{chapter}.trans.txt", lines)


def write_mls(root: Path, name: str, subset: str, texts: Mapping[str, str]) -> None:
    """``name``: for instance mls_german or mls_german_opus; ``texts``: id -> text."""
    base, ending = root / name, "opus" if name.endswith("_opus") else "flac"
    segments = []
    for key, text in texts.items():
        speaker, book, _ = key.split("_")
        path = base / subset / "audio" / speaker / book / f"{key}.{ending}"
        seconds = write_speech(path, text)
        segments.append(f"{key}\thttp://www.archive.org/x.mp3\t100.5\t{100.5 + seconds:.2f}")
    write_lines(base / subset / "transcripts.txt", [f"{k}\t{t}" for k, t in texts.items()])
    write_lines(base / subset / "segments.txt", segments)
    header = " SPEAKER   |   GENDER   | PARTITION  |  MINUTES   |  BOOK ID   | TITLE | CHAPTER"
    write_lines(base / "metainfo.txt", [header])


def write_commonvoice(
    release: Path, locale: str, subset: str, rows: Sequence[tuple[str, str, str]],
    header: str = NEW_HEADER, with_durations: bool = True,
) -> None:  # fmt: skip
    """``rows``: speaker, file name, sentence."""
    base = release / locale
    durations = {}
    for _, path, sentence in rows:
        durations[path] = write_speech(base / "clips" / path, sentence)
    table = [
        {"client_id": c, "path": p, "sentence": s, "locale": locale, "up_votes": "2"}
        for c, p, s in rows
    ]
    write_table(base / f"{subset}.tsv", header, table)
    if with_durations:
        file = base / "clip_durations.tsv"
        before = file.read_text().splitlines() if file.exists() else ["clip\tduration[ms]"]
        now = [f"{path}\t{round(1000 * seconds)}" for path, seconds in durations.items()]
        write_lines(file, [*before, *now])


def write_fleurs(root: Path, code: str, subset: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """``rows``: sentence id, file name, raw transcription."""
    base = root / "data" / code
    lines = []
    for key, name, raw in rows:
        seconds = write_speech(base / "audio" / subset / name, raw)
        text = raw.lower().strip(".")
        characters = " ".join(text.replace(" ", "|")) + " |"
        lines.append(f"{key}\t{name}\t{raw}\t{text}\t{characters}\t{round(seconds * 16000)}\tMALE")
    write_lines(base / f"{subset}.tsv", lines)
    audio = base / "audio" / subset
    tar_up(audio, base / "audio" / f"{subset}.tar.gz", base / "audio")
    audio.rmdir()


def write_voxpopuli(
    root: Path, language: str, subset: str, rows: Sequence[tuple[str, str, str, str]]
) -> None:
    """What get_asr_data makes; ``rows``: id, raw text, normalised text, speaker."""
    base = root / "transcribed_data" / language
    for key, _, text, _ in rows:
        write_speech(base / key[:4] / f"{key}.ogg", text or "x")
    write_table(base / f"asr_{subset}.tsv", VOXPOPULI_HEADER, voxpopuli_rows(subset, rows))


def voxpopuli_rows(subset: str, rows: Sequence[tuple[str, str, str, str]]) -> list[dict[str, str]]:
    names = ("id", "raw_text", "normalized_text", "speaker_id")
    known = {"split": subset, "gender": "female", "is_gold_transcript": "True", "accent": "None"}
    return [{**known, **dict(zip(names, row, strict=True))} for row in rows]


def write_voxpopuli_hub(
    root: Path, language: str, subset: str, parts: Sequence[Sequence[tuple[str, str, str, str]]]
) -> None:
    """The layout of the hub: one archive for each of ``parts``."""
    base = root / "data" / language
    for number, rows in enumerate(parts):
        directory = base / subset / f"{subset}_part_{number}"
        for key, _, text, _ in rows:
            write_speech(directory / f"{key}.wav", text)
        tar_up(directory, base / subset / f"{directory.name}.tar.gz", base / subset)
        directory.rmdir()
    rows = [row for part in parts for row in part]
    write_table(base / f"asr_{subset}.tsv", VOXPOPULI_HEADER, voxpopuli_rows(subset, rows))
    counts = root / "data/n_files.json"
    known = json.loads(counts.read_text()) if counts.exists() else {}
    known.setdefault(language, {})[subset] = len(parts)
    counts.write_text(json.dumps(known))
