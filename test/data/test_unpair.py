"""Transcripts dealt to other utterances: who gets what, and what is the same before and after."""

from collections import Counter

import pytest
from bad_input import command

from espnet_otreg.data.kaldi_dir import read_table, write_table
from espnet_otreg.data.unpair import unpair
from espnet_otreg.errors import UserError

TEXTS = {f"{language}{n}": f"{language} {n // 2}" for language in ("en", "it") for n in range(40)}
LANGUAGES = {key: key[:2] for key in TEXTS}


def test_no_utterance_keeps_its_words_and_each_language_keeps_its_sentences():
    dealt = unpair(TEXTS, LANGUAGES)
    assert list(dealt) == list(TEXTS)
    assert all(dealt[key] != text for key, text in TEXTS.items())
    assert all(text[:2] == key[:2] for key, text in dealt.items())
    assert Counter(dealt.values()) == Counter(TEXTS.values())
    assert dealt == unpair(TEXTS, LANGUAGES) != unpair(TEXTS, LANGUAGES, seed=1)


def test_one_sentence_cannot_be_dealt():
    with pytest.raises(UserError, match="language it"):
        unpair({"a": "si", "b": "si"}, {"a": "it", "b": "it"})


def test_command_line(tmp_path):
    write_table(tmp_path / "text", TEXTS)
    write_table(tmp_path / "utt2lang", LANGUAGES)
    done = command("unpair_text", "--data_dir", tmp_path, "--output", tmp_path / "new/text")
    assert done.stdout == "80 utterances have the transcript of another one\n"
    assert read_table(tmp_path / "new/text") == unpair(TEXTS, LANGUAGES)
