"""Published corpora in their publishers' exact layouts: what comes out of each, to the letter."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest
from published_corpora import (
    NEW_HEADER,
    OLD_HEADER,
    write_commonvoice,
    write_fleurs,
    write_librispeech,
    write_mls,
    write_speech,
    write_voxpopuli,
    write_voxpopuli_hub,
)

from espnet_otreg.data.commonvoice import prepare_commonvoice
from espnet_otreg.data.fleurs import CODES, prepare_fleurs
from espnet_otreg.data.kaldi_dir import read_data_dir
from espnet_otreg.data.librispeech import prepare_librispeech
from espnet_otreg.data.mls import prepare_mls
from espnet_otreg.data.tsv import read_rows
from espnet_otreg.data.validate import AudioChecks, validate_data
from espnet_otreg.data.voxpopuli import prepare_voxpopuli
from espnet_otreg.errors import UserError
from espnet_otreg.files import read_json


def table_of(directory: Path) -> dict[str, tuple[str, str, str, str]]:
    """Text, speaker, domain and file of each utterance, in a directory without faults."""
    assert not validate_data(directory, AudioChecks(decode=True))
    return {
        u.utterance_id: (u.text, u.speaker, u.domain, Path(u.wav).name)
        for u in read_data_dir(directory)
    }


def test_librispeech(tmp_path: Path) -> None:
    write_librispeech(tmp_path, "dev-clean", {"1272-128104": ["MISTER QUILTER", "IT'S HIS"]})
    write_librispeech(tmp_path, "test-other", {"367-130732": ["LOBSTERS", "GONE"]})
    chapter = tmp_path / "LibriSpeech/test-other/367/130732"
    (chapter / "367-130732-0001.flac").unlink()
    write_speech(chapter / "367-130732-0002.flac", "UNTOLD")
    prepare_librispeech(tmp_path, tmp_path / "dev", "en", "dev-clean")
    assert table_of(tmp_path / "dev") == {
        "en_librispeech_1272_128104-0000": (
            "mister quilter", "en_librispeech_1272", "librispeech_clean", "1272-128104-0000.flac",
        ),
        "en_librispeech_1272_128104-0001": (
            "it's his", "en_librispeech_1272", "librispeech_clean", "1272-128104-0001.flac",
        ),
    }  # fmt: skip
    log = prepare_librispeech(tmp_path, tmp_path / "test", "en", "test-other", jobs=3)
    assert [u.domain for u in read_data_dir(tmp_path / "test")] == ["librispeech_other"]
    assert log.dropped == {
        "no_audio": ["367-130732-0001"],
        "no_transcript": ["367-130732-0002"],
    }
    assert log.seconds == pytest.approx(0.06 * len("LOBSTERS"))


def test_librispeech_in_the_wrong_place(tmp_path: Path) -> None:
    write_librispeech(tmp_path, "dev-clean", {"1272-128104": ["MISTER QUILTER"]})
    (tmp_path / "LibriSpeech/dev-clean").rename(tmp_path / "LibriSpeech/train-clean-100")
    with pytest.raises(UserError, match="speaker 1272 is of dev-clean in SPEAKERS.TXT; unpack"):
        prepare_librispeech(tmp_path, tmp_path / "out", "en", "train-clean-100")
    with pytest.raises(UserError, match="no such directory; unpack test-clean.tar.gz there"):
        prepare_librispeech(tmp_path, tmp_path / "out", "en", "test-clean")


MLS_TEXTS = {
    "10087_10388_000000": "guten morgen",
    "10087_10388_000001": "er sprach",
    "252_1000_000000": "gute nacht",
}


@pytest.mark.parametrize("name", ["mls_german", "mls_german_opus"])
def test_mls(tmp_path: Path, name: str) -> None:
    write_mls(tmp_path, name, "test", MLS_TEXTS)
    ending = "opus" if "opus" in name else "flac"
    (tmp_path / name / "test/audio/10087/10388" / f"10087_10388_000001.{ending}").unlink()
    log = prepare_mls(tmp_path, tmp_path / "out", "de", "test")
    assert table_of(tmp_path / "out") == {
        "de_mls_10087_10388_000000": (
            "guten morgen", "de_mls_10087", "mls", f"10087_10388_000000.{ending}",
        ),
        "de_mls_252_1000_000000": (
            "gute nacht", "de_mls_252", "mls", f"252_1000_000000.{ending}",
        ),
    }  # fmt: skip
    assert log.dropped == {"no_audio": ["10087_10388_000001"]}
    assert log.seconds == pytest.approx(0.06 * len("guten morgengute nacht"), abs=0.011)


def test_the_small_training_sets_of_mls(tmp_path: Path) -> None:
    write_mls(tmp_path, "mls_german", "train", MLS_TEXTS)
    lists = tmp_path / "mls_german/train/limited_supervision"
    for place, key in (("9hr", "252_1000_000000"), ("1hr/0", "10087_10388_000001")):
        (lists / place).mkdir(parents=True)
        (lists / place / "handles.txt").write_text(f"{key}\n")
    (lists / "1hr/5").mkdir()
    (lists / "1hr/5/handles.txt").write_text("10087_10388_000001\n1_2_3\n")
    kept = {
        subset: prepare_mls(tmp_path, tmp_path / subset, "de", subset).kept
        for subset in ("train", "train_10h", "train_1h")
    }
    assert kept == {"train": 3, "train_10h": 2, "train_1h": 1}
    recorded = read_json(tmp_path / "train_1h/prep_log.json")
    assert recorded["dropped"] == {"no_transcript": {"count": 1, "ids": ["1_2_3"]}}


COMMON_VOICE = [
    ("f" * 128, "common_voice_de_17298952.mp3", '„Ja", sagte er.'),
    ("f" * 128, "common_voice_de_17298953.mp3", '"Nein'),
    ("ab" * 64, "common_voice_de_17298954.mp3", "Im Jahr 1984."),
    ("ab" * 64, "common_voice_de_17298955.mp3", "Fehlt."),
]


@pytest.mark.parametrize("header", [OLD_HEADER, NEW_HEADER], ids=["until16", "since17"])
@pytest.mark.parametrize("with_durations", [False, True])
def test_common_voice(tmp_path: Path, header: str, with_durations: bool) -> None:
    release = tmp_path / "cv-corpus-17.0-2024-03-15"
    write_commonvoice(release, "de", "test", COMMON_VOICE, header, with_durations)
    clips = release / "de/clips"
    (clips / "common_voice_de_17298955.mp3").unlink()
    (clips / "common_voice_de_17298953.mp3").write_bytes(b"")
    log = prepare_commonvoice(tmp_path, tmp_path / "out", "de", "test", jobs=2)
    speaker = f"de_commonvoice_{hashlib.sha256(b'f' * 128).hexdigest()[:16]}"
    assert table_of(tmp_path / "out") == {
        f"{speaker}_17298952": ("ja sagte er", speaker, "commonvoice", COMMON_VOICE[0][1]),
    }
    assert log.corpus == "commonvoice 17.0-2024-03-15 test"
    assert log.dropped == {
        "empty_audio": ["17298953"],
        "number": ["17298954"],
        "no_audio": ["17298955"],
    }
    assert log.seconds == pytest.approx(0.06 * len(COMMON_VOICE[0][2]), abs=0.05)


def test_tables_are_read_as_csv_reads_them_without_quotes(tmp_path: Path) -> None:
    write_commonvoice(tmp_path, "de", "test", COMMON_VOICE)
    path = tmp_path / "de/test.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert list(read_rows(path, ["sentence"])) == expected
    assert expected[1]["sentence"] == '"Nein'


def test_two_releases_of_common_voice(tmp_path: Path) -> None:
    for release in ("cv-corpus-16.1-2023-12-06", "cv-corpus-17.0-2024-03-15"):
        write_commonvoice(tmp_path / release, "de", "test", COMMON_VOICE[:1])
    with pytest.raises(UserError, match=r"several releases have 'de': cv-corpus-16\.1"):
        prepare_commonvoice(tmp_path, tmp_path / "out", "de", "test")
    with pytest.raises(UserError, match=r"no cv-corpus-VERSION-DATE/sv-SE/clips; download"):
        prepare_commonvoice(tmp_path, tmp_path / "out", "sv", "test")


FLEURS = [
    ("1660", "10009151214118149934.wav", "Das Wetter ist schön."),
    ("1660", "10119574362546230586.wav", "Das Wetter ist schön."),
    ("1701", "13508157286486613462.wav", "Es kostet 7,50 Euro."),
]


def test_fleurs(tmp_path: Path) -> None:
    write_fleurs(tmp_path, "de_de", "test", FLEURS)
    log = prepare_fleurs(tmp_path, tmp_path / "out/fleurs_de", "de", "test")
    speaker, text = "de_fleurs_unknown", "das wetter ist schön"
    expected = {  # one sentence, two readers: the id is that of the file
        f"{speaker}_10009151214118149934": (text, speaker, "fleurs", FLEURS[0][1]),
        f"{speaker}_10119574362546230586": (text, speaker, "fleurs", FLEURS[1][1]),
    }
    assert table_of(tmp_path / "out/fleurs_de") == expected
    assert log.dropped == {"number": ["13508157286486613462"]}
    assert log.seconds == pytest.approx(2 * 0.06 * len(FLEURS[0][2]))
    # Unpacked by its owner, beside the archive.
    unpacked = tmp_path / "data/de_de/audio/test"
    (tmp_path / "out/fleurs_de_audio/test").rename(unpacked)
    (tmp_path / "data/de_de/audio/test.tar.gz").unlink()
    write_speech(unpacked / "1.wav", "untold")
    log = prepare_fleurs(tmp_path, tmp_path / "out/fleurs_de", "de", "test")
    assert table_of(tmp_path / "out/fleurs_de") == expected
    assert log.dropped["no_transcript"] == ["1"]


def test_the_languages_of_fleurs() -> None:
    """Those that the issue's recipe trains in, and some whose name is not the code's first part."""
    wanted = {"de": "de_de", "es": "es_419", "pt": "pt_br", "zh": "cmn_hans_cn", "en": "en_us"}
    wanted |= {"tl": "fil_ph", "yue": "yue_hant_hk", "ast": "ast_es", "ckb": "ckb_iq"}
    assert {language: CODES[language] for language in wanted} == wanted
    assert len(CODES) == 102


VOXPOPULI = [
    ("20100210-0900-PLENARY-3-nl_20100210-09:06:43_4", "Dat kan, 2 keer.", "dat kan twee keer",
     "1122"),
    ("20100210-0900-PLENARY-3-nl_20100210-09:06:43_5", "", "wij samen", "None"),
    ("20180312-0900-PLENARY-1-nl_20180312-17:00:00_0", "Niets.", "", "7"),
]  # fmt: skip
VOXPOPULI_TABLE = {
    "nl_voxpopuli_1122_20100210-0900-PLENARY-3-nl_20100210-09.06.43_4": (
        "dat kan twee keer", "nl_voxpopuli_1122", "voxpopuli",
    ),
    "nl_voxpopuli_unknown_20100210-0900-PLENARY-3-nl_20100210-09.06.43_5": (
        "wij samen", "nl_voxpopuli_unknown", "voxpopuli",
    ),
}  # fmt: skip


def test_voxpopuli_cut_by_its_script(tmp_path: Path) -> None:
    write_voxpopuli(tmp_path, "nl", "dev", VOXPOPULI)
    log = prepare_voxpopuli(tmp_path, tmp_path / "out", "nl", "dev")
    found = table_of(tmp_path / "out")
    assert {key: row[:3] for key, row in found.items()} == VOXPOPULI_TABLE
    assert all(row[3].endswith(".ogg") for row in found.values())
    raws = [u.raw_text for u in read_data_dir(tmp_path / "out")]
    assert raws == ["Dat kan, 2 keer.", "wij samen"]
    assert log.dropped == {"no_transcript": [VOXPOPULI[2][0]]}
    assert log.seconds == pytest.approx(0.06 * len("dat kan twee keerwij samen"), abs=0.01)


def test_voxpopuli_of_the_hub(tmp_path: Path) -> None:
    write_voxpopuli_hub(tmp_path, "nl", "dev", [VOXPOPULI[:1], VOXPOPULI[1:2]])
    prepare_voxpopuli(tmp_path, tmp_path / "out", "nl", "dev")
    found = table_of(tmp_path / "out")
    assert {key: row[:3] for key, row in found.items()} == VOXPOPULI_TABLE
    unpacked = [path.name for path in (tmp_path / "out_audio").glob("[!.]*") if path.is_dir()]
    assert sorted(unpacked) == ["dev_part_0", "dev_part_1"]
