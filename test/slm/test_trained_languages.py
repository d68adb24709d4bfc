"""What a model was trained for, from its record or, without one, from its templates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.files import read_json
from espnet_otreg.slm.config import parse_slm_config
from espnet_otreg.slm.prompt import Prompt
from espnet_otreg.slm.trained_languages import (
    TrainedLanguages,
    read_trained_languages,
    resolve_languages,
    write_trained_languages,
)
from espnet_otreg.text_llm.settings import check_languages, read_settings

KNOWS = TrainedLanguages(frozenset({"en", "it"}), templates=frozenset({"en", "it"}))


def model_dir(path: Path, *templates: str) -> Path:
    config = {"prompt_conf": {"templates": dict.fromkeys(templates, "{speech}")}}
    path.mkdir(exist_ok=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_a_record_says_what_was_trained_whatever_the_templates(tmp_path: Path) -> None:
    directory = model_dir(tmp_path, "default", "it", "fr")
    write_trained_languages(directory, {"it": 3, "de": 2}, 0, resumed=False)
    trained = read_trained_languages(directory)
    assert trained.languages == {"it", "de"}
    assert [trained.prompt_of(name) for name in ("ita", "Deutsch")] == ["it", "default"]
    with pytest.raises(
        UserError,
        match=r"this model was not trained for French \(fr\); it knows German \(de\), Italian",
    ):
        trained.prompt_of("fr")


def test_a_training_that_goes_on_keeps_what_it_was_trained_for(tmp_path: Path) -> None:
    write_trained_languages(tmp_path, {"it": 3}, 0, resumed=True)
    write_trained_languages(tmp_path, {"en": 2, "it": 4}, 0, resumed=True)
    assert read_json(tmp_path / "languages.json") == {
        "utterances": {"en": 2, "it": 4}, "without_language": 0,
    }  # fmt: skip
    write_trained_languages(tmp_path, {"ru": 1}, 0, resumed=False)
    assert read_json(tmp_path / "languages.json")["utterances"] == {"ru": 1}


def test_without_a_record_the_templates_say_it(tmp_path: Path) -> None:
    named = read_trained_languages(model_dir(tmp_path / "named", "default", "en", "ITA"))
    assert named == KNOWS
    only_default = read_trained_languages(model_dir(tmp_path / "default", "default"))
    assert only_default.prompt_of("de") == only_default.prompt_of("default") == "default"


def test_of_a_training_without_languages_only_the_default_prompt_is_trained(tmp_path: Path) -> None:
    directory = model_dir(tmp_path, "default", "it")
    write_trained_languages(directory, {}, 12, resumed=False)
    trained = read_trained_languages(directory)
    assert trained.prompt_of("it") == trained.prompt_of("sv") == trained.only() == "default"


@pytest.mark.parametrize(
    ("languages", "templates", "expected"),
    [
        ({"it"}, {"it"}, "it"),
        ({"it"}, set(), "it"),
        ({"de", "it"}, set(), "default"),  # one prompt for both
        ({"de", "it"}, {"it"}, None),
        ({"de", "it"}, {"de", "it"}, None),
    ],
)
def test_where_nobody_names_a_language(
    languages: set[str], templates: set[str], expected: str | None
) -> None:
    trained = TrainedLanguages(frozenset(languages), templates=frozenset(templates))
    if expected is None:
        with pytest.raises(UserError, match=r"name it; the model knows German \(de\), Italian"):
            trained.only()
    else:
        assert trained.only() == expected


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    directory = model_dir(tmp_path, "default")
    for content in ("[]", '{"utterances": {"it": "x"}, "without_language": 0}', "{"):
        (directory / "languages.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=r"languages\.json"):
            read_trained_languages(directory)


@pytest.mark.parametrize(
    ("languages", "expected"),
    [
        ("IT", ["it", "it"]), ("it-IT", ["it", "it"]), ("Italian", ["it", "it"]),
        (["eng", "it_IT"], ["en", "it"]), (("EN", "Auto"), ["en", "auto"]),
        ("auto", ["auto", "auto"]),
    ],
)  # fmt: skip
def test_one_language_for_all_or_one_for_each(
    languages: str | Sequence[str], expected: list[str]
) -> None:
    assert resolve_languages(KNOWS, languages, 2) == expected


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        (["en"], "1 languages for 2 recordings"),
        ([], "0 languages for 2 recordings"),
        ("ger", r"not trained for German \(de\); it knows English \(en\), Italian \(it\)"),
        (["en", "default"], "'default' is no language"),
        (["en", None], "expected the name of a language, found None"),
        (None, "this model's prompt depends on it"),
        (5, "expected the name of a language, found 5"),
        ({"a": "en"}, "expected the name of a language"),
        (b"en", "expected the name of a language"),
    ],
)
def test_languages_that_do_not_fit(languages: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve_languages(KNOWS, languages, 2)  # type: ignore[arg-type]


def test_a_language_that_was_identified_must_be_the_models() -> None:
    assert KNOWS.check_identified("it", 0.5) == "it"
    with pytest.raises(
        UserError,
        match=r"sounds like German \(de\), with probability 0\.93, and .*it knows English \(en\)",
    ):
        KNOWS.check_identified("de", 0.9345)


def test_a_trained_model_never_falls_to_a_prompt_that_was_not_trained() -> None:
    prompt = Prompt({"default": (1,), "it": (2,), "en": (3,)},
                    dict.fromkeys(("default", "it", "en"), ()), 2, (2,))  # fmt: skip
    assert prompt.around("ga")[0] == (1,)  # in training it is trained
    trained = Prompt(prompt.before, prompt.after, 2, (2,), trained=KNOWS)
    for name in ("it", "IT", "ita", "it_IT.UTF-8", "Italian"):
        assert trained.around(name)[0] == (2,)
    for name in ("ga", "default"):
        with pytest.raises(UserError, match=r"knows English \(en\), Italian \(it\)"):
            trained.around(name)
    assert "trained" not in trained.as_json() and trained.as_json() == prompt.as_json()


def test_templates_are_keyed_by_language_and_each_language_once() -> None:
    def templates(*names: str) -> dict[str, str]:
        values = {
            "llm_conf": {"model": "llm"},
            "prompt_conf": {"templates": dict.fromkeys(("default", *names), "{speech}")},
        }
        return parse_slm_config(values).prompt_conf.by_language()

    assert list(templates("ITA", "pt_br")) == ["default", "it", "pt"]
    with pytest.raises(ConfigErrors, match=r"templates\.ita: the same language as templates\.it;"):
        templates("it", "ita")
    with pytest.raises(ConfigErrors, match=r"templates\.Itallian: .*did you mean Italian \(it\)"):
        templates("Itallian")


def test_the_small_llm_has_one_token_for_each_language(tmp_path: Path) -> None:
    path = tmp_path / "llm.yaml"
    path.write_text("languages: [EN, ita, pt_br]\n", encoding="utf-8")
    settings = read_settings(path)
    assert settings.languages == ("en", "it", "pt")
    check_languages(["it", "pt"], settings)
    path.write_text("languages: [it, Italian]\n", encoding="utf-8")
    with pytest.raises(ConfigErrors, match=r"languages: Italian \(it\) comes twice"):
        read_settings(path)
    path.write_text("languages: [it, Itallian]\n", encoding="utf-8")
    with pytest.raises(ConfigErrors, match=r"languages: .*did you mean Italian \(it\)"):
        read_settings(path)
