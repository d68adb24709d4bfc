"""The archive of a game in its own layout: every text finds its clip."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
import soundfile

from espnet_otreg.data.amazon_queen import prepare_amazon_queen
from espnet_otreg.data.kaldi_dir import read_data_dir
from espnet_otreg.data.queen_archive import read_members, spoken_texts
from espnet_otreg.data.validate import validate_data
from espnet_otreg.errors import UserError

from .conftest import tone

HEADER = b"AmBk".ljust(20, b"\0")


def clip(seconds: float) -> bytes:
    """MP3 of MPEG-2.5 at 11,025 Hz, as in the game."""
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(seconds, 11025), 11025, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()


def string(text: str, place: int, align: int) -> bytes:
    """A string that begins at a place of its file, filled up behind it."""
    raw = bytes([len(text)]) + text.encode("cp437")
    return raw + b"\0" * (-(place + len(raw)) % align if text else 0)


def dialogue(key: int, joe: dict[int, str], person: dict[int, str], again: list[str]) -> bytes:
    """A ``.DOG`` file with one level: 96 bytes of its tree between the header and the texts."""
    body, places = b"\0" * (32 + 96), []
    for texts in (joe, person):
        places.append(len(body))
        for number, text in texts.items():
            body += struct.pack(">hh", 0, number)
            body += string(text, len(body), 4)
    places.append(len(body))
    for text in again:
        body += string(text, len(body), 2)
    numbers = [-1, 7, key, len(joe), len(person), *[0] * 6, places[1], 0, places[2]]
    return HEADER + struct.pack(">14h", *numbers) + body[28:]


def cutaway(texts: list[str]) -> bytes:
    body = struct.pack(">6h", 0, len(texts), 0, 0, 12, 0)
    for text in ["*FL", *texts]:
        body += string(text, len(body), 2)
    return HEADER + body


def archive(members: dict[str, bytes], coding: int = 1) -> bytes:
    table = b"QTBLCEM10\0\0\0" + bytes([coding]) + struct.pack(">H", len(members))
    place, content = len(table) + 21 * len(members), b""
    for name, data in members.items():
        table += struct.pack(">12sBII", name.encode(), 1, place + len(content), len(data))
        content += data
    return table + content


MEMBERS = {
    "BOB2.DOG": dialogue(
        3,
        {0: "0", 6: "Did a parrot come through here?*24", 30: "I speak*GDto nobody.*03Ha ha ha!"},
        {6: "Yes (sigh) it did.", 30: "Hmmmm, that is true.*WTMove along now."},
        ["Back so soon?", "I could not stay away."],
    ),
    "C5C.CUT": cutaway(["**That was very close.*14", "*", "*XY00(237,112)Come over here.*FR"]),
    "QUEEN.JAS": HEADER + struct.pack(">4h", 1, 1, 9, 2),
    # Two descriptions, a name, a room, twelve verbs, forty answers, and what else there is.
    "QUEEN2.JAS": "\r\n".join(
        ["It looks nice.", "C2C.CUT", "knife", "cave", *["verb"] * 12, *["I cannot do that."] * 40]
    ).encode("cp437"),
    "030006J1.SB": clip(2.0),
    "03001EJ1.SB": clip(0.6),
    "03001EJ2.SB": clip(0.8),
    "03001EJ3.SB": clip(0.8),
    "030006P1.SB": clip(1.0),
    "03001EP1.SB": clip(1.5),
    "03001EP2.SB": clip(9.0),
    "03XXXXP1.SB": clip(1.0),
    "03XXXXJ1.SB": clip(1.6),
    "C5C__011.SB": clip(1.4),
    "C5C__032.SB": clip(1.1),
    "JOE00401.SB": clip(1.2),
    "JOE00411.SB": clip(1.0),
    "1000SSSS.SB": clip(1.0),
    "ROOM.PCX": b"picture",
}


def test_every_text_finds_its_clip_and_doubtful_ones_are_counted(tmp_path: Path) -> None:
    (tmp_path / "queen.1c").write_bytes(archive(MEMBERS))
    log = prepare_amazon_queen(tmp_path, tmp_path / "out", "en")
    utterances = read_data_dir(tmp_path / "out")
    assert {u.utterance_id: u.text for u in utterances} == {
        "en_queen_joe_030006J1": "did a parrot come through here",
        "en_queen_joe_03001EJ1": "i speak",
        "en_queen_joe_03001EJ2": "to nobody",
        "en_queen_bob_03XXXXP1": "back so soon",
        "en_queen_joe_03XXXXJ1": "i could not stay away",
        "en_queen_unknown_C5C__011": "that was very close",
        "en_queen_unknown_C5C__032": "come over here",
        "en_queen_joe_JOE00401": "i cannot do that",
        "en_queen_joe_JOE00411": "it looks nice",
    }
    assert log.dropped == {
        "interjection": ["03001EJ3.SB", "03001EP1.SB"],
        "note": ["030006P1.SB"],
        "rate": ["03001EP2.SB"],
        "no_transcript": ["1000SSSS.SB"],
    }
    assert log.kept == 9 and log.seconds == pytest.approx(10.7, abs=0.01)
    assert {u.wav for u in utterances} == {str(p) for p in (tmp_path / "out_clips").iterdir()}
    assert not validate_data(tmp_path / "out")


def test_another_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queen.1c"
    path.write_bytes(archive(MEMBERS, coding=2))
    with pytest.raises(UserError, match=r"not queen\.1c with MP3 speech"):
        prepare_amazon_queen(tmp_path, tmp_path / "out", "en")
    path.write_bytes(archive(MEMBERS)[:-8])
    with pytest.raises(UserError, match="archive is damaged"):
        read_members(path)
    with pytest.raises(UserError, match="archive is damaged"):
        spoken_texts({**MEMBERS, "BOB2.DOG": MEMBERS["BOB2.DOG"][:-30]}, path)
    with pytest.raises(UserError, match="give --language en"):
        prepare_amazon_queen(tmp_path, tmp_path / "out", "it")
    assert not (tmp_path / "out").exists()
