"""Rows of several seeds and test sets, their comparison and its verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from espnet_otreg.errors import UserError
from espnet_otreg.files import write_json
from espnet_otreg.scoring.compare import compare, overview, verdict
from espnet_otreg.scoring.directory import score_directory
from espnet_otreg.scoring.results import ABSENT, result_tables
from espnet_otreg.scoring.rows import Row, load_row, macro_rate, micro_rate, parse_row
from espnet_otreg.scoring.significance import holm

LANGUAGES = ("en", "es", "ru")


@pytest.fixture
def make_score(make_corpus: Callable, write_corpora: Callable, tmp_path: Path) -> Callable:
    """make_score(rate, seed, domain): the path of a score file on the same references."""

    def make(rate: float, seed: int = 0, domain: str = "core_sounds", **options: object) -> Path:
        count, scheme = options.pop("count", 60), options.pop("scheme", "otreg-basic-v1")
        name = f"{rate}-{seed}-{count}"
        corpora = [make_corpus(language, count, rate, seed) for language in LANGUAGES]
        score = score_directory(*write_corpora(corpora, domain, name, **options), scheme)
        path = tmp_path / name / domain / f"{scheme}.json"
        score.write(path)
        return path

    return make


def make_row(make_score: Callable, name: str, rate: float, seeds: int = 1) -> Row:
    paths = [
        make_score(rate, seed + int(1000 * rate), domain)
        for domain in ("core_sounds", "tuxpaint")
        for seed in range(seeds)
    ]
    return load_row(name, paths)


def test_seeds_are_averaged_and_kept_apart(make_score: Callable) -> None:
    row = make_row(make_score, "a", 0.4, seeds=3)
    assert row.seeds == 3 and len(row.sets) == 6
    result = row.group("in_domain")[0]
    assert len(set(result.rates("wer"))) == 3
    lengths = [u["word"][1] for u in result.utterances[0].values()]
    assert result.rate("wer") == pytest.approx(
        100 * result.errors("wer").sum() / sum(lengths), abs=1e-3
    )
    rates = [s.rate("wer") for s in row.group("in_domain")]
    assert macro_rate(row.group("in_domain"), "wer") == pytest.approx(np.mean(rates))
    assert micro_rate(row.group("in_domain"), "wer") == pytest.approx(np.mean(rates), rel=0.2)


def test_a_clear_gain_is_called_better_and_its_mirror_worse(make_score: Callable) -> None:
    a, b = make_row(make_score, "control", 0.5, 2), make_row(make_score, "OTReg", 0.2, 2)
    forth, back = compare(a, b), compare(b, a)
    primary = forth.primary[0]
    assert primary.label == "macro out-of-domain" and primary.outcome == "better"
    assert primary.low < primary.difference < primary.high < 0
    assert back.primary[0].outcome == "worse"
    assert back.primary[0].difference == pytest.approx(-primary.difference)
    assert (back.primary[0].low, back.primary[0].high) == pytest.approx(
        (-primary.high, -primary.low)
    )
    assert len(primary.seed_differences) == 2
    assert np.mean(primary.seed_differences) == pytest.approx(primary.difference)
    assert verdict(primary, "control", "OTReg").startswith("OTReg is better than control: WER ")
    assert overview(forth, "wer") == "WER in 6 test sets: 6 where OTReg is better."


def test_a_system_equals_itself(make_score: Callable) -> None:
    row = make_row(make_score, "a", 0.4)
    difference = compare(row, row).primary[0]
    assert (difference.difference, difference.p, difference.outcome) == (0.0, 1.0, "no difference")


def test_a_small_gain_is_no_difference_and_says_what_could_be_seen(make_score: Callable) -> None:
    a, b = make_row(make_score, "a", 0.40), make_row(make_score, "b", 0.41)
    difference = compare(a, b).primary[0]
    assert difference.outcome == "no difference"
    sentence = verdict(difference, "a", "b")
    assert sentence.startswith("no significant difference in WER")
    assert f"below {difference.detectable:.1f} points is missed" in sentence


def test_above_seventy_percent_nothing_is_concluded_from_wer(make_score: Callable) -> None:
    a, b = make_row(make_score, "a", 0.99), make_row(make_score, "b", 0.5)
    wer, cer = compare(a, b).primary
    assert wer.rate_a > 70 and wer.outcome == "saturated"
    assert verdict(wer, "a", "b").startswith("saturated: no conclusion from WER")
    assert cer.outcome == "better"


def test_holm_adjusts_all_but_the_primary(make_score: Callable) -> None:
    a, b = make_row(make_score, "a", 0.40), make_row(make_score, "b", 0.36)
    comparison = compare(a, b)
    assert [d.measure for d in comparison.primary] == ["wer", "cer"]
    assert all(d.adjusted_p == d.p for d in comparison.primary)
    for measure in ("wer", "cer"):
        others = [d for d in comparison.others if d.measure == measure]
        assert [d.adjusted_p for d in others] == holm([d.p for d in others])
    assert [d.label for d in comparison.others if d.measure == "wer"] == [
        "macro in-domain",
        *(f"{language} core_sounds" for language in LANGUAGES),
        *(f"{language} tuxpaint" for language in LANGUAGES),
    ]


def test_twenty_speakers_are_resampled_fewer_are_not(make_score: Callable) -> None:
    few = load_row("a", [make_score(0.4, speakers=19)])
    many = load_row("b", [make_score(0.4, domain="tuxpaint", speakers=20)])
    assert {s.resampled_by for s in few.sets} == {"sentence"}
    assert {s.resampled_by for s in many.sets} == {"speaker"}
    assert "how speakers vary is not covered" in compare(few, few).note
    assert compare(many, many).note == "Resampled by speaker."


def test_other_test_sets_and_normalizers_are_refused(make_score: Callable) -> None:
    a = load_row("a", [make_score(0.4)])
    with pytest.raises(UserError, match="'b' and 'a' were scored on different lists of en core"):
        compare(a, load_row("b", [make_score(0.4, count=50)]))
    with pytest.raises(UserError, match="'b' was scored with whisper-basic"):
        compare(a, load_row("b", [make_score(0.4, scheme="whisper-basic")]))
    with pytest.raises(UserError, match="only one of 'a' and 'b' was scored on en tuxpaint"):
        compare(a, load_row("b", [make_score(0.4), make_score(0.4, domain="tuxpaint")]))


def test_another_choice_of_in_domain_sets_is_refused(
    make_corpus: Callable, write_corpora: Callable, tmp_path: Path
) -> None:
    directory, hypothesis = write_corpora([make_corpus("en", 9)], "own")
    rows = []
    for name, in_domain in (("a", ["own"]), ("b", [])):
        score_directory(directory, hypothesis, in_domain=in_domain).write(tmp_path / f"{name}.json")
        rows.append(load_row(name, [tmp_path / f"{name}.json"]))
    with pytest.raises(UserError) as refused:
        compare(*rows)
    assert str(refused.value) == (
        "en own counts as out-of-domain for 'b' and as in-domain for 'a'; "
        "score both again with the same --in_domain"
    )


def test_rows_that_do_not_fit_together_are_refused(make_score: Callable) -> None:
    one, two = make_score(0.4), make_score(0.4, seed=1)
    tuxpaint = make_score(0.4, domain="tuxpaint")
    with pytest.raises(UserError, match="given twice"):
        load_row("a", [one, one])
    with pytest.raises(UserError, match="its test sets have 1 and 2 score files"):
        load_row("a", [one, two, tuxpaint])
    with pytest.raises(UserError, match="in two different lists of utterances"):
        load_row("a", [one, make_score(0.4, count=50)])
    with pytest.raises(UserError, match="a row without a name"):
        parse_row(str(one))
    with pytest.raises(UserError, match="no score file"):
        parse_row("a=")


def test_a_row_that_lacks_a_test_set_has_no_macro(make_score: Callable) -> None:
    paths = [
        make_score(0.4, seed, domain) for domain in ("tuxpaint", "drascula") for seed in (1, 2)
    ]
    tables = result_tables([load_row("a", paths), load_row("b", paths[:2])])
    by_language, by_seed = tables[0], tables[-1]
    assert by_language.header[:4] == ("system", *LANGUAGES)
    assert ABSENT not in by_language.lines[0]
    assert by_language.lines[1][-3:] == (ABSENT,) * 3 and by_language.lines[1][1] != ABSENT
    assert by_seed.lines[1] == ("b", ABSENT, ABSENT)


def test_systems_trained_without_other_recordings_are_not_compared(
    make_corpus: Callable, write_corpora: Callable, tmp_path: Path
) -> None:
    def row(name: str, without: str | None) -> Row:
        corpora = [make_corpus(language, 60, 0.3, 1) for language in LANGUAGES]
        directory, hypothesis = write_corpora(corpora, "core_sounds", name)
        if without is not None:
            write_json(Path(hypothesis).with_name("status.json"), {"trained_without": without})
        path = tmp_path / name / "score.json"
        score_directory(directory, hypothesis).write(path)
        return load_row(name, [path])

    control, same, other = row("control", "7f"), row("same", "7f"), row("other", "a0")
    whole, untrained = row("whole", ""), row("whisper", None)
    assert compare(control, same).a == "control"
    assert compare(untrained, control).b == "control"  # nothing was trained, or nothing is known
    for a, b in ((control, other), (control, whole)):
        with pytest.raises(UserError, match="trained without different lists of unreadable"):
            compare(a, b)
