"""Every corpus in its publisher's exact layout, with the publisher's real defects."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_otreg.data.core_sounds import prepare_core_sounds
from espnet_otreg.data.drascula import prepare_drascula
from espnet_otreg.data.festvox_ru import prepare_festvox_ru
from espnet_otreg.data.kaldi_dir import read_data_dir
from espnet_otreg.data.synthetic import ESPEAK, PICO, PinnedVoice, prepare_synthetic
from espnet_otreg.data.tuxpaint import prepare_tuxpaint
from espnet_otreg.data.validate import validate_data
from espnet_otreg.errors import UserError

from .conftest import drascula_dat, tone, write_g722


def texts_of(directory: Path) -> dict[str, str]:
    return {u.utterance_id: u.text for u in read_data_dir(directory)}


def test_italian_core_sounds(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    lines = [
        "; Core Asterisk Sounds in Italian",
        "",
        "activated: Attivato.",
        "conf-full: La conferenza ? piena.",
        "cannot: La chiamata non pu? essere completata cos? come composta.",
        "invalid: Spiacente, [quello] non è un interno valido.",
        "letters/O: O",
        "silence/1: (1 secondo di silenzio)",
        "vm-advopts: premere 3 per le opzioni",
        "spy-h323: H.323 (in inglese)",
        "lost: Senza audio.",
        "empty: Vuoto.",
    ]
    corpus.mkdir()
    (corpus / "core-sounds-it.txt").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    names = "activated conf-full cannot invalid letters/o silence/1 vm-advopts spy-h323 untold"
    for name in names.split():
        write_g722(corpus / f"{name}.g722", 0.2)
    (corpus / "empty.g722").write_bytes(b"")
    log = prepare_core_sounds(corpus, tmp_path / "out", "it")
    assert texts_of(tmp_path / "out") == {
        "it_core_carlo_activated": "attivato",
        "it_core_carlo_cannot": "la chiamata non può essere completata così come composta",
        "it_core_carlo_conf-full": "la conferenza è piena",
        "it_core_carlo_invalid": "spiacente non è un interno valido",
        "it_core_carlo_letters.o": "o",
        "it_core_carlo_vm-advopts": "premere tre per le opzioni",
    }
    assert log.dropped == {
        "no_audio": ["lost"],
        "no_transcript": ["untold"],
        "no_words": ["silence/1"],
        "number": ["spy-h323"],
        "empty_audio": ["empty"],
    }
    assert log.mended == {"lost_accent": ["conf-full", "cannot"], "case_of_id": ["letters/O"]}
    assert log.seconds == pytest.approx(6 * 0.2)
    recorded = json.loads((tmp_path / "out/prep_log.json").read_text())
    assert recorded["dropped"]["number"] == {"count": 1, "ids": ["spy-h323"]}
    assert not validate_data(tmp_path / "out")


def test_spanish_core_sounds_have_a_mistyped_id(tmp_path: Path) -> None:
    (tmp_path / "core-sounds-es.txt").write_text("digits/0: cero\ndigits/0: diez\n")
    for name in ("digits/0", "digits/10"):
        write_g722(tmp_path / f"{name}.g722", 0.2)
    prepare_core_sounds(tmp_path, tmp_path / "out", "es")
    assert texts_of(tmp_path / "out") == {
        "es_core_allison_digits.0": "cero",
        "es_core_allison_digits.10": "diez",
    }


def test_ids_inside_the_text_go(tmp_path: Path) -> None:
    (tmp_path / "core-sounds-fr.txt").write_text(
        "conf-adminmenu: conf-adminmenu: Appuyez sur 1.\n"
        "vm-record: Appuyez sur dièse.vm-review-nonurgent: Pour enlever\n",
        encoding="utf-8",
    )
    for name in ("conf-adminmenu", "vm-record"):
        write_g722(tmp_path / f"{name}.g722", 0.2)
    log = prepare_core_sounds(tmp_path, tmp_path / "out", "fr")
    assert list(texts_of(tmp_path / "out").values()) == ["appuyez sur un", "appuyez sur dièse"]
    assert log.mended == {"id_inside_text": ["conf-adminmenu", "vm-record"]}


def test_drascula(tmp_path: Path) -> None:
    tables = [["", "NOT REALLY", "ROOM 1234", "HEY (WHISTLE)"], ["TOUPEÉ, SIR!"]]
    (tmp_path / "drascula.dat").write_bytes(drascula_dat(tables + [["NO SOUND"]] * 8))
    for name in ("0", "1", "2", "3", "D0", "S1"):
        (tmp_path / f"{name}.ALS").write_bytes(bytes([128]) * 11025)
    log = prepare_drascula(tmp_path, tmp_path / "out", "en")
    assert texts_of(tmp_path / "out") == {
        "en_drascula_D_000": "toupeé sir",
        "en_drascula_main_001": "not really",
    }
    assert log.dropped["number"] == ["2"] and log.dropped["note"] == ["3"]
    assert log.dropped["no_transcript"] == ["0", "S1"]
    assert len(log.dropped["no_audio"]) == 8
    assert log.seconds == 2.0


def test_another_version_of_drascula_is_refused(tmp_path: Path) -> None:
    (tmp_path / "drascula.dat").write_bytes(b"DRASCULA\x05" + b"\0" * 9000)
    with pytest.raises(UserError, match=r"not version 6 of drascula\.dat"):
        prepare_drascula(tmp_path, tmp_path / "out", "en")
    (tmp_path / "drascula.dat").write_bytes(drascula_dat([["A"]])[:7300])
    with pytest.raises(UserError, match="damaged"):
        prepare_drascula(tmp_path, tmp_path / "out", "en")


STAMPS = {
    "animals/duck": "A duck.\nes.utf8=Un pato  nada.\nit.utf8=Una papera nuota.\n",
    "animals/dog": "A dog.\nes.utf8=Perro.\nit.utf8=Cane.\n",
    "money/coin": "es.utf8=Una moneda (¥100).\nit.utf8=Una moneta da 2 euro.\n",
    "symbols/chess/king": "es.utf8=El rey blanco.\nit.utf8=Il re bianco.\n",
    "symbols/alphabets/a": "es.utf8=La letra a.\nit.utf8=La lettera a.\n",
    "town/old": "An old town.\n",
}


def make_stamps(directory: Path) -> None:
    for name, content in STAMPS.items():
        path = directory / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        stereo = np.stack([tone(0.3, 44100)] * 2, axis=1)
        soundfile.write(directory / f"{name}_desc_es.ogg", stereo, 44100)


def test_tuxpaint(tmp_path: Path) -> None:
    make_stamps(tmp_path / "stamps")
    log = prepare_tuxpaint(tmp_path / "stamps", tmp_path / "out", "es")
    assert texts_of(tmp_path / "out") == {"es_tuxpaint_unknown_animals.duck": "un pato nada"}
    assert log.dropped == {
        "one_word": ["animals.dog"],
        "note": ["money.coin"],
        "excluded_topic": ["symbols.alphabets.a", "symbols.chess.king"],
        "no_transcript": ["town.old"],
    }


def test_festvox_ru(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "wav").mkdir()
    (tmp_path / "etc/txt.done.data").write_text(
        '( ru_0001 "Прядь волнистых вол+ос, - за ухо." )\n( ru_0002 "Нет." )\n', encoding="utf-8"
    )
    soundfile.write(tmp_path / "wav/ru_0001.wav", tone(0.5, 16000), 16000)
    log = prepare_festvox_ru(tmp_path, tmp_path / "out", "ru")
    assert texts_of(tmp_path / "out") == {
        "ru_festvox_nsh_0001": "прядь волнистых волос за ухо",
    }
    assert log.dropped == {"no_audio": ["ru_0002"]}


@pytest.mark.parametrize("voice", [PICO, ESPEAK], ids=lambda voice: voice.corpus)
def test_a_synthetic_voice_says_a_text_the_same_way_every_time(
    voice: PinnedVoice, tmp_path: Path
) -> None:
    make_stamps(tmp_path / "stamps")
    prepare_synthetic(voice, tmp_path / "stamps", tmp_path / "all", "it")
    (tmp_path / "stamps/animals/duck.txt").unlink()
    prepare_synthetic(voice, tmp_path / "stamps", tmp_path / "fewer", "it")
    assert texts_of(tmp_path / "all") == {
        f"{voice.speaker}_animals.duck": "una papera nuota",
        f"{voice.speaker}_money.coin": "una moneta da due euro",
    }
    paths = [tmp_path / f"{n}_wavs/{voice.speaker}_money.coin.wav" for n in ("all", "fewer")]
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in paths}) == 1
    samples, rate = soundfile.read(paths[0])
    assert rate >= 16000 and len(samples) > rate and np.abs(samples).max() > 0.1


def test_another_voice_than_the_pinned_one_is_refused() -> None:
    other = dataclasses.replace(ESPEAK, files={"espeak-ng-data/it_dict": "0" * 64})
    with pytest.raises(UserError, match=r"not the pinned voice file.*pip install espeakng-loader"):
        other.check()
    with pytest.raises(UserError, match="not installed"):
        dataclasses.replace(ESPEAK, module="no_such_synthesiser").check()


@pytest.mark.parametrize(
    ("prepare", "language", "says"),
    [
        (prepare_drascula, "fr", "drascula is English; give --language en"),
        (prepare_festvox_ru, "en", "festvox_ru is Russian; give --language ru"),
        (prepare_core_sounds, "de", "no core sounds of this language"),
        (partial(prepare_synthetic, PICO), "es", "the synthetic set is Italian"),
    ],
)
def test_a_language_that_the_corpus_lacks(
    prepare: Callable[..., object], language: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        prepare(tmp_path, tmp_path / "out", language)
    assert not (tmp_path / "out").exists()
