"""One text is in one split; the record proves that the split is the same everywhere."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_otreg.data.combine import pool, without_texts_of
from espnet_otreg.data.kaldi_dir import Utterance
from espnet_otreg.data.split import check_record, lowest_hash, split_by_text, split_of
from espnet_otreg.errors import UserError


def make(number: int, text: str, domain: str = "x", language: str = "en") -> Utterance:
    return Utterance(f"{language}_{domain}_{number}", "a.wav", text, text, language, "s", domain)


@given(st.lists(st.text(max_size=3)))
def test_a_text_is_in_one_split_only(texts: list[str]) -> None:
    parts = split_by_text([make(number, text) for number, text in enumerate(texts)])
    seen = [{utterance.text for utterance in part} for part in parts.values()]
    assert sum(map(len, seen)) == len(set().union(*seen)) == len(set(texts))
    assert sum(map(len, parts.values())) == len(texts)


def test_the_shares_are_about_right() -> None:
    names = [split_of(str(number)) for number in range(5000)]
    assert names.count("train") == pytest.approx(3800, abs=100)
    assert names.count("preference") == pytest.approx(200, abs=50)
    assert names.count("dev") == pytest.approx(500, abs=75)


def test_the_limit_takes_the_same_utterances_of_every_set() -> None:
    utterances = [make(n, "t", domain) for n in range(50) for domain in ("x", "y")]
    few = lowest_hash(utterances, 5)
    assert [sum(u.domain == domain for u in few) for domain in ("x", "y")] == [5, 5]
    assert set(few) <= set(lowest_hash(reversed(utterances), 7))
    assert lowest_hash(utterances, 0) == sorted(utterances, key=lambda u: u.utterance_id)


def test_texts_of_training_are_taken_out_by_language() -> None:
    training = [make(1, "si", language="it")]
    tests = [make(2, "si", "y", "it"), make(3, "si", "y", "es"), make(4, "no", "y", "it")]
    kept, removed = without_texts_of(tests, training)
    assert [u.utterance_id for u in kept] == ["es_y_3", "it_y_4"]
    assert [u.utterance_id for u in removed] == ["it_y_2"]


def test_an_id_in_two_corpora_is_refused() -> None:
    with pytest.raises(UserError, match="'en_x_1' comes twice"):
        pool([[make(1, "a")], [make(1, "b")]])


def test_the_record(tmp_path: Path) -> None:
    record = tmp_path / "split.json"
    sets = {"train": [make(1, "a"), make(2, "b")], "test": [make(3, "c")]}
    check_record(sets, record)
    check_record(sets, record)
    with pytest.raises(UserError, match="'train' is not the recorded one: x en has 1 utterances"):
        check_record({**sets, "train": [make(1, "a")]}, record)
    with pytest.raises(UserError, match="'test' is not the recorded one: the ids have sha256"):
        check_record({**sets, "test": [make(4, "c")]}, record)
    with pytest.raises(UserError, match="'ood' is not the recorded one: it is not in the record"):
        check_record({**sets, "ood": [make(4, "c")]}, record)
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "normalizer": "other-v1"}))
    with pytest.raises(UserError, match="the recorded normalizer is 'other-v1'"):
        check_record(sets, record)
