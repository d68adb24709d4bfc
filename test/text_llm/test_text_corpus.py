"""Free text for the mini LLM: readers, filters, tokenizer, command line."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bad_input import assert_refused, command

from espnet_otreg.data.kaldi_dir import Utterance, write_data_dir
from espnet_otreg.errors import UserError
from espnet_otreg.text_llm.corpus import collect_text, read_corpus, write_corpus
from espnet_otreg.text_llm.packages import TEXT_SOURCES
from espnet_otreg.text_llm.sources import read_fortunes, read_gettext, read_mallard
from espnet_otreg.text_llm.tokenizer import (
    load_sentencepiece,
    save_tokenizer,
    train_sentencepiece,
)

LANGUAGES = ("en", "it", "ru")


def write_catalogue(path: Path, messages: dict[str, str]) -> None:
    """A GNU message catalogue as msgfmt writes it."""
    every = {"": "Content-Type: text/plain; charset=UTF-8\n", **messages}
    keys = [key.encode() for key in sorted(every)]
    values = [every[key].encode() for key in sorted(every)]
    count, start = len(keys), 28
    offset = start + 16 * count
    tables, blob = b"", b""
    for strings in (keys, values):
        for string in strings:
            tables += struct.pack("<II", len(string), offset + len(blob))
            blob += string + b"\0"
    header = struct.pack("<7I", 0x950412DE, 0, count, start, start + 8 * count, 0, 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(header + tables + blob)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """One unpacked package with all three kinds of text."""
    root = tmp_path / "package"
    write_catalogue(
        root / "locale/it/LC_MESSAGES/game.mo",
        {
            "Who goes there? A friend!": "Chi va là? <i>Un amico!</i>",
            "You have $gold coins.": "Hai $gold monete.",
        },
    )
    fortunes = root / "games/fortunes"
    for name, text in {
        "wisdom": "A penny saved.\n\t\t-- Somebody, 1758\n%\nTest this sentence.\n",
        "wisdom.dat": "\0\1",
        "it/zuse": "Perche' la citta' e' grande.\n%\nUn po' di pane, 12 euro.\n",
        "it/off/rude": "Parole offensive.\n",
        "ru/happy": "Ещё раз!\n%\nThis is English.\n",
    }.items():
        (fortunes / name).parent.mkdir(parents=True, exist_ok=True)
        (fortunes / name).write_text(text, encoding="utf-8")
    (fortunes / "linked").symlink_to(fortunes / "wisdom")
    for language, text in (("C", "Press the key."), ("it", "Premere il tasto."), ("de", "Nein.")):
        page = root / f"share/help/{language}/help/a.page"
        page.parent.mkdir(parents=True)
        page.write_text(
            f'<page xmlns="http://projectmallard.org/1.0/"><info><credit><name>N N</name></credit>'
            f"</info><p>{text} <gui>Ok</gui></p><p>Left in English.</p></page>",
            encoding="utf-8",
        )
    return root


def test_readers_find_language_and_text(package: Path) -> None:
    assert set(read_gettext(package, LANGUAGES)) == {
        ("it", "Chi va là?  Un amico! "),
        ("en", "Who goes there? A friend!"),
        ("it", "Hai $gold monete."),
        ("en", "You have $gold coins."),
    }
    fortunes = {(language, text.strip()) for language, text in read_fortunes(package, LANGUAGES)}
    assert ("en", "A penny saved.") in fortunes
    assert ("it", "Perché la città è grande.") in fortunes
    assert not any("offensive" in text or "Somebody" in text for _, text in fortunes)
    pages = list(read_mallard(package, LANGUAGES))
    assert ("en", "Press the key. Ok") in pages and ("it", "Premere il tasto. Ok") in pages
    assert {language for language, _ in pages} == {"en", "it"}


def test_corpus_is_normalised_distinct_and_free_of_test_sentences(
    package: Path, tmp_path: Path
) -> None:
    corpus = collect_text([package, package], LANGUAGES, {"en": {"test this sentence"}})
    assert corpus.sentences["en"].count("a penny saved") == 1
    assert "test this sentence" not in corpus.sentences["en"]
    assert "left in english" in corpus.sentences["en"]
    assert "left in english" not in corpus.sentences["it"]
    assert corpus.sentences["ru"] == ["еще раз"]
    assert "chi va là" in corpus.sentences["it"] and "un amico" in corpus.sentences["it"]
    assert not any("gold" in text for texts in corpus.sentences.values() for text in texts)
    assert corpus.dropped["in a test set"] == 2
    assert corpus.dropped["has digits"] == 2
    assert corpus.dropped["other script"] == 2
    assert corpus.dropped["not translated"] == 2  # and the button "Ok"

    write_corpus(corpus, tmp_path / "text")
    assert read_corpus(tmp_path / "text", LANGUAGES) == corpus.sentences
    (tmp_path / "text/ru.txt").unlink()
    with pytest.raises(UserError, match=r"ru\.txt: no text to train on"):
        read_corpus(tmp_path / "text", LANGUAGES)


def test_broken_files_are_named(package: Path) -> None:
    (package / "locale/it/LC_MESSAGES/game.mo").write_bytes(b"no catalogue")
    with pytest.raises(UserError, match=r"game\.mo: not a message catalogue"):
        list(read_gettext(package, LANGUAGES))
    (package / "share/help/it/help/a.page").write_text("<page>", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.page: not a help page"):
        list(read_mallard(package, LANGUAGES))


TEXTS = [
    f"{first} {second} {third}"
    for first in ("premere", "press", "нажмите", "attendere")
    for second in ("uno", "one", "один", "prego", "il tasto")
    for third in ("adesso", "now", "сейчас", "ancora", "l'ora")
]


def test_tokenizer_segments_like_sentencepiece_and_round_trips(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model = train_sentencepiece(TEXTS, LANGUAGES, 46, required_characters="йщù")
    assert model == train_sentencepiece(TEXTS, LANGUAGES, 46, required_characters="йщù")
    save_tokenizer(model, LANGUAGES, tmp_path)
    pieces = load_sentencepiece(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == len(pieces) == 46
    for text in [*TEXTS, "ùйщ", "un'altra", "premereilnow"]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == pieces.encode(text)
    for text in [*TEXTS, "ùйщ uno"]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text and tokenizer.unk_token_id not in ids
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert len({*special, tokenizer.unk_token_id}) == 4
    assert tokenizer("<it>", add_special_tokens=False)["input_ids"] == [pieces.piece_to_id("<it>")]


def test_impossible_vocabulary_is_one_sentence() -> None:
    with pytest.raises(UserError, match="a vocabulary of 100000 pieces cannot be trained"):
        train_sentencepiece(TEXTS, LANGUAGES, 100_000)


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer\.model: no SentencePiece model"):
        load_sentencepiece(tmp_path)


def test_every_package_names_its_licence_and_is_pinned() -> None:
    assert len(TEXT_SOURCES) > 1
    for source in TEXT_SOURCES.values():
        assert source.licence and source.attribution
        assert len(source.sha256) == 64
    assert len({source.sha256 for source in TEXT_SOURCES.values()}) == len(TEXT_SOURCES)


def test_command_says_which_package_is_missing(tmp_path: Path) -> None:
    options = ("--download_dir", tmp_path / "downloads", "--data_root", tmp_path)
    done = command("collect_text", *options, "--output", tmp_path / "text")
    assert_refused(done, "no wesnoth-1.16-httt_*.deb")
    assert not (tmp_path / "text").exists()


def test_text_of_ones_own_without_the_sentences_of_tests(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    lines = ["Prendi 2 mele. Poi vai a casa!", "una papera nuota", "Scrivi a info@mele.it"]
    (tmp_path / "own/it.txt").write_text("\n".join(lines), encoding="utf-8")
    spoken = Utterance("a", "a.wav", "una papera nuota", "Una papera nuota.", "it", "a", "told")
    other = replace(spoken, text="poi vai a casa")
    write_data_dir(tmp_path / "data/test", [spoken])
    write_data_dir(tmp_path / "data/train", [other])  # may be read again
    words = ["--text", f"{tmp_path}/own", "--exclude", f"{tmp_path}/data"]
    output = tmp_path / "text"
    module = "espnet_otreg.bin.collect_text"
    command = [sys.executable, "-m", module, *words, "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (output / "it.txt").read_text().splitlines() == ["prendi due mele", "poi vai a casa"]
    assert "1 in a test set" in done.stdout
    nothing = subprocess.run([*command[:3], "--output", "a"], capture_output=True, text=True)
    assert nothing.stderr == (
        "error: --text, --download_dir: either your own text or one to fetch\n"
    )
