"""Which languages a data directory may name, or leave unnamed, for a model that was trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.decoding.data import read_data_set
from espnet_otreg.decoding.modes import configure_modes
from espnet_otreg.decoding.run import decode_sets
from espnet_otreg.errors import UserError
from espnet_otreg.slm.trained_languages import TrainedLanguages, read_trained_languages


@pytest.fixture
def features(tiny_slm: Path, tmp_path: Path) -> Path:
    """The features that the tiny model has learnt; their tables may be changed."""
    return shutil.copytree(tiny_slm.parent / "features", tmp_path / "features")


def write_languages(features: Path, change: dict[str, str]) -> None:
    path = features / "utt2lang"
    rows = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    path.write_text("".join(f"{key} {change.get(name, name)}\n" for key, name in rows))


def test_a_data_directory_without_languages_is_refused_before_the_model_is_loaded(
    tiny_slm: Path, features: Path, tmp_path: Path
) -> None:
    (features / "utt2lang").unlink()
    with pytest.raises(
        UserError,
        match=r"no utt2lang, .* make it \('<utterance id> <language>' a line\); the model knows "
        r"English \(en\), Spanish \(es\), French \(fr\), Italian \(it\), Russian \(ru\)",
    ):
        decode_sets(str(tiny_slm), [str(features)], configure_modes(["llm"]), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    decode_sets(str(tiny_slm), [str(features)], configure_modes(["ctc"]), str(tmp_path / "out"))
    texts = read_table(tmp_path / "out/ctc/features/text")  # CTC reads no prompt
    assert texts.keys() == read_table(features / "text").keys()


@pytest.mark.parametrize(
    ("trained", "language"),
    [
        (TrainedLanguages(frozenset({"it"}), templates=frozenset({"it"})), "it"),
        (TrainedLanguages(frozenset(), any_language=True), "default"),
        (TrainedLanguages(frozenset({"de", "it"})), "default"),  # they share its only prompt
    ],
)
def test_it_is_decoded_where_only_one_prompt_was_trained(
    features: Path, trained: TrainedLanguages, language: str
) -> None:
    (features / "utt2lang").unlink()
    assert {u.language for u in read_data_set(features, True, trained).utterances} == {language}


def test_languages_may_be_named_in_any_way(tiny_slm: Path, features: Path) -> None:
    trained = read_trained_languages(tiny_slm)
    plain = read_data_set(features, True, trained)
    write_languages(features, {"en": "EN", "es": "es-419", "fr": "fre", "it": "Italian",
                               "ru": "ru_RU.UTF-8"})  # fmt: skip
    assert read_data_set(features, True, trained) == plain


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "ger",
            r"utt2lang: utterance 'it_.*not trained for German \(de\); it knows English \(en\)",
        ),
        ("Itallian", r"utt2lang: utterance 'it_.*did you mean Italian \(it\)"),
        ("default", "utt2lang: utterance 'it_.*'default' is no language"),
    ],
)
def test_a_language_that_the_model_was_not_trained_for_is_named(
    tiny_slm: Path, features: Path, name: str, message: str
) -> None:
    write_languages(features, {"it": name})
    with pytest.raises(UserError, match=message):
        read_data_set(features, True, read_trained_languages(tiny_slm))
