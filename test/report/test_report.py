"""RESULTS.md says what the score files say, and what is missing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import yaml
from tiny_experiment import MINI, plan_mini

from espnet_otreg.bin import slm_report
from espnet_otreg.errors import UserError
from espnet_otreg.experiment import load_experiment
from espnet_otreg.files import read_json, write_json
from espnet_otreg.recipe.experiment import read_experiment
from espnet_otreg.report.collect import Report, collect, to_json
from espnet_otreg.report.ending import ending
from espnet_otreg.report.layout import Results, System
from espnet_otreg.report.pages import render_pages
from espnet_otreg.report.results_md import rewrite_between_markers, write_results
from espnet_otreg.report.summary import compact, headline, set_table, small_table, summary
from espnet_otreg.report.write import Documents, Written, publish, write_report
from espnet_otreg.scoring.rows import load_row, macro_rate

MakeExperiment = Callable[..., Path]


def _text(report: Report) -> str:
    """Everything that a report says, its summary first."""
    pages = render_pages(report, "Preset mini", {})
    return "\n".join([summary(report, "Preset mini", {}), *pages.values()])


def _report(directory: Path, **planned: list) -> tuple[str, dict]:
    if planned:
        plan_mini(directory, seeds=(1, 2), **planned)
    report = collect(load_experiment(directory), "./run.sh --seeds '1 2'", [], None)
    return _text(report), to_json(report)


@pytest.fixture(scope="module")
def text(written: Written) -> str:
    return _text(written.report)


@pytest.fixture(scope="module")
def results(written: Written) -> dict:
    return read_json(written.directory / "results.json")


def _table(text: str, title: str) -> dict[str, list[str]]:
    """Cells of a Markdown table by its first column."""
    lines = text.split(f"**{title}**\n\n")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_every_system_has_its_row_with_the_numbers_of_its_scores(
    scored: Path, text: str, results: dict
) -> None:
    table = _table(text, "Macro over languages (%)")
    assert list(table) == [
        "SFT, no speech (floor)",
        "pretrained projector, CTC read-out",
        "SFT, CTC read-out",
        "control, CTC read-out",
        "OTReg, CTC read-out",
        "SFT, LLM",
        "control, LLM",
        "OTReg, LLM *",
    ]
    files = [
        scored / f"otreg_s{seed}/llm/{name}/scoring/score.json"
        for seed in (1, 2)
        for name in ("test", "ood")
    ]
    row = load_row("x", files)
    expected = macro_rate(row.group("in_domain"), "wer")
    assert table["OTReg, LLM *"][0].startswith(f"{expected:.1f} ±")
    entry = next(r for r in results["rows"] if r["name"] == "OTReg, LLM")
    assert entry["groups"]["in_domain"]["wer"]["macro"] == pytest.approx(expected, abs=1e-4)
    assert len(entry["groups"]["in_domain"]["wer"]["seeds"]) == 2
    low, high = entry["groups"]["in_domain"]["wer"]["interval"]
    assert low < expected < high


def test_pretrainings_are_compared_with_the_one_that_is_used(
    make_experiment: MakeExperiment, few_draws: None
) -> None:
    directory = make_experiment()
    for seed in (1, 2):
        new = directory / f"pretrain_divergence_s{seed}"
        shutil.copytree(directory / f"pretrain_s{seed}", new)
        for name in ("test", "ood"):  # as good as the SFT model
            scores = f"ctc/{name}/scoring/score.json"
            shutil.copy(directory / f"sft_s{seed}" / scores, new / scores)
    text, results = _report(directory, pretrainings=["pretrain", "pretrain_divergence"])
    rows = list(_table(text, "Macro over languages (%)"))
    assert rows[1:3] == [
        "pretrained projector, CTC read-out", "pretrained, CTC + divergence, CTC read-out",
    ]  # fmt: skip
    (pair,) = [c for c in results["secondary"] if c["b"] == "pretrained, CTC + divergence"]
    assert (pair["a"], pair["mode"]) == ("pretrained projector", "ctc")
    assert pair["differences"][0]["b"] < pair["differences"][0]["a"]
    assert {run["arm"] for run in results["training_runs"]} >= {pair["a"], pair["b"]}


def test_ways_of_sft_are_compared_with_the_one_that_is_used(
    make_experiment: MakeExperiment, few_draws: None
) -> None:
    directory = make_experiment()
    for seed in (1, 2):
        shutil.copytree(directory / f"control_s{seed}", directory / f"sft_similarity_s{seed}")
    text, results = _report(directory, arms=["sft", "sft_similarity", "control", "otreg"])
    name = "SFT, compression by similarity"
    assert {c["a"] for c in results["secondary"] if c["b"] == name} == {"SFT"}
    [control] = [c for c in results["secondary"] if (c["b"], c["mode"]) == ("control", "llm")]
    table = _table(text, "Ways of SFT, LLM, macro over languages (%)")
    assert list(table) == ["SFT", name] and table["SFT"][1::2] == ["-"] * 3
    found = control["differences"][0]  # the same scores beside the same
    assert table[name][3].startswith(f"{found['b'] - found['a']:+.1f} (")
    assert "Methods, LLM" not in text  # it is none of those that go on from SFT


def test_methods_stand_side_by_side_with_their_differences_and_the_cost_of_a_step(
    make_experiment: MakeExperiment, tmp_path: Path, few_draws: None
) -> None:
    directory = make_experiment()
    for seed in (1, 2):
        shutil.copytree(directory / f"control_s{seed}", directory / f"otreg_sparse_s{seed}")
    keys = ("ratio", "low", "high")
    costs = {"control": (1, 1, 1), "otreg": (1.05, 1.041, 1.062)}
    arms = {arm: dict(zip(keys, cost, strict=True)) for arm, cost in costs.items()}
    write_json(directory / "step_times.json", {"arms": arms})
    experiment = plan_mini(directory, ["sft", "control", "otreg", "otreg_sparse"], seeds=(1, 2))
    written = write_report(experiment, tmp_path / "r", "Preset mini", "./run.sh")
    text, results = _text(written.report), to_json(written.report)
    table = _table(text, "Methods, LLM, macro over languages (%)")
    assert list(table) == ["control", "OTReg", "OTReg, k-sparse"]
    rows = {row["arm"]: row["groups"] for row in results["rows"] if row["mode"] == "llm"}
    for arm, cells in zip(("control", "otreg", "otreg_sparse"), table.values(), strict=True):
        assert cells[0] == f"{rows[arm]['in_domain']['wer']['macro']:.1f}"
        assert cells[4] == f"{rows[arm]['out_of_domain']['cer']['macro']:.1f}"
    primary = results["primary"]["differences"][0]
    low, high = primary["interval"]
    found = f"{primary['b'] - primary['a']:+.1f} ({low:+.1f} to {high:+.1f}) *"
    assert table["OTReg"][3] == found
    assert table["OTReg, k-sparse"][1::2] == ["+0.0 (+0.0 to +0.0)"] * 3  # the control's own scores
    assert table["control"][1::2] == ["-"] * 3
    cost = _table(text, "Methods, alignment and cost")
    assert [cells[-1] for cells in cost.values()] == [
        "1.00 (1.00 to 1.00)", "1.05 (1.04 to 1.06)", "-",
    ]  # fmt: skip
    page = tmp_path / "regularizers.md"
    page.write_text("before\n<!-- results: mini -->\n<!-- end of results -->\nafter\n")
    results_md = tmp_path / "RESULTS.md"
    write_results(results_md, "mini", "## Preset mini\n\nwhole sets")
    publish(written, Documents(methods_md=page, methods_results_md=results_md))
    assert "| OTReg, k-sparse |" in page.read_text() and page.read_text().endswith("after\n")
    whole, methods = results_md.read_text().split("<!-- experiment: mini_methods -->")
    assert "whole sets" in whole and "## Preset mini: all methods" in methods
    assert "**Methods, LLM, macro over languages (%)**" in methods
    assert "| OTReg, k-sparse |" in methods and "Methods, CTC" not in methods
    beside = tmp_path / "results/mini_methods"
    assert "**Methods, CTC read-out, macro" in (beside / "methods.md").read_text()
    assert "config sha256" in (beside / "provenance.md").read_text()


def test_languages_domains_and_synthetic_speech_are_kept_apart(text: str, results: dict) -> None:
    assert "it (synth.)" in text and "it pico_synthetic (synthetic)" in text
    sets = results["rows"][0]["groups"]
    assert list(sets["out_of_domain"]["wer"]["sets"]) == ["en drascula"]
    assert list(sets["synthetic"]["wer"]["sets"]) == ["it pico_synthetic (synthetic)"]


def test_the_row_and_the_mode_are_chosen_on_dev_alone(
    make_experiment: MakeExperiment, results: dict, few_draws: None
) -> None:
    directory = make_experiment()
    assert results["chosen_on_dev"] == "OTReg, LLM"
    assert results["primary_mode"] == "llm"
    # Exchange the development scores of two systems: the choice follows, the test does not matter.
    for seed in (1, 2):
        one = directory / f"otreg_s{seed}/llm/dev/scoring/score.json"
        other = directory / f"sft_s{seed}/ctc/dev/scoring/score.json"
        contents = one.read_bytes(), other.read_bytes()
        one.write_bytes(contents[1])
        other.write_bytes(contents[0])
    _, exchanged = _report(directory)
    assert exchanged["chosen_on_dev"] == "SFT, CTC read-out"


def test_the_primary_comparison_is_otreg_against_its_control(text: str, results: dict) -> None:
    primary = results["primary"]
    assert (primary["a"], primary["b"]) == ("control", "OTReg")
    macro = primary["differences"][0]
    assert macro["set"] == "macro out-of-domain" and macro["measure"] == "wer"
    assert macro["b"] < macro["a"] and macro["outcome"] == "better" and len(macro["seeds"]) == 2
    assert "OTReg is better than control: WER" in text
    assert "95 % interval" in text and "Holm p" in text and "detectable" in text
    assert "Resampled by sentence" in text
    assert "control and OTReg were trained with differ in: `regularizers`." in text
    others = {(c["mode"], c["a"], c["b"]) for c in results["secondary"]}
    assert others == {
        ("llm", "SFT", "control"),
        ("ctc", "control", "OTReg"),
        ("ctc", "SFT", "control"),
    }


def test_what_is_missing_is_said(make_experiment: MakeExperiment, few_draws: None) -> None:
    directory = make_experiment(leave_out=("otreg_s2/llm/ood", "sft_s1/ctc/dev", "sft_s2/ctc/dev"))
    text, results = _report(directory, arms=["sft", "control", "otreg", "otreg_ctc"])
    missing = text.split("## Missing or limited")[1]
    for sentence in (
        "Whisper zero-shot: not run, or not scored on all test sets.",
        "OTReg, LLM: no scores of seed 2.",
        "OTReg + CTC, LLM: not run, or not scored on all test sets.",
        "SFT, wrong speech (floor): not run, or not scored on all test sets.",
        "OTReg: modality gap and retrieval measured for 0 of 2 seeds.",
    ):
        assert f"- {sentence}" in missing
        assert sentence in results["missing"]
    # One seed is left for the comparison, and it is compared with the same seed of the control.
    assert len(results["primary"]["differences"][0]["seeds"]) == 1


def test_one_seed_is_no_claim(make_experiment: MakeExperiment, few_draws: None) -> None:
    text, _ = _report(make_experiment(seeds=(1,)))
    assert "One seed only" in text


def test_without_a_complete_row_there_is_no_report(make_experiment: MakeExperiment) -> None:
    directory = make_experiment(seeds=(1,))
    for score in directory.glob("*/*/ood/scoring/score.json"):
        score.unlink()
    with pytest.raises(UserError, match="no system was scored on all test sets"):
        _report(directory)
    with pytest.raises(UserError, match="no experiment here; run the recipe's run.sh first"):
        load_experiment(directory / "otreg_s1")


def test_floors_belong_to_the_arm_that_was_decoded_so(make_experiment: MakeExperiment) -> None:
    experiment = plan_mini(make_experiment(), modes=["llm", "llm_no_speech"])
    systems = Results(experiment).systems()
    assert {system.mode for system in systems if not system.is_floor} == {"", "llm"}
    assert System("sft", "llm_no_speech") in systems and System("sft", "llm_shuffled") in systems
    assert len(systems) == len(set(systems))


def test_provenance(
    make_experiment: MakeExperiment, data_dirs: dict[str, Path], few_draws: None
) -> None:
    directory = make_experiment()
    write_json(directory / "otreg_s1" / ".done", {"seconds": 61.5})
    write_json(
        directory / "otreg_s1/llm/dev/status.json",
        {"weights": {"of_it": 0.35}, "options": {"num_beams": 1}, "empty": 0},
    )
    record = directory / "split.json"
    experiment = load_experiment(directory)
    report = collect(experiment, "./run.sh", list(data_dirs.values()), None)
    splits = {split["set"]: split for split in report.splits}
    assert splits["test"]["by_set"] == {"en core_sounds": 40, "it core_sounds": 40}
    sets = {
        "dev": {"sha256": splits["dev"]["sha256"], "utterances": 60},
        "test": {"sha256": "0" * 64, "utterances": 80},
        "ood": {"sha256": "0" * 64, "utterances": 3000},
    }
    write_json(record, {"sets": sets})
    report = collect(experiment, "./run.sh", list(data_dirs.values()), record)
    assert [split["record"] for split in report.splits] == [
        "as recorded",
        "DIFFERS from the record",
        "part of the recorded 3000",
    ]
    run = next(run for run in report.runs if (run["arm"], run["seed"]) == ("OTReg", 1))
    assert (run["steps"], run["seconds"], run["decoding"]["llm"]) == (150, 61.5, {"of_it": 0.35})
    assert run["regularizers"] == "otreg (0.3)"
    text = _text(report)
    for word in ("python", "espnet", "torch", "git commit", "processor", "otreg-basic-v2"):
        assert word in text
    assert run["config_sha256"][:12] in text and splits["test"]["sha256"][:16] in text
    assert "| OTReg | 1 | LLM | of_it 0.35 |" in text


def test_the_summary_is_short_and_leads_to_the_pages(written: Written, text: str) -> None:
    directory = written.directory
    shown = (directory / "results.md").read_text(encoding="utf-8")
    assert shown.startswith("## Preset mini\n\n**Macro out-of-domain WER: OTReg is better")
    # Tables of seven columns and of three.
    assert len(shown.splitlines()) < 50 and shown.count("|---") == 7 + 3
    links = re.findall(r"^- \[(.*)\]\((.*)\)$", shown, re.M)
    assert [path for _, path in links] == [
        "error_rates.md", "development.md", "comparison.md", "embeddings.md", "provenance.md",
        "results.json",
    ]  # fmt: skip
    for title, path in links[:-1]:
        page = (directory / path).read_text(encoding="utf-8")
        assert page.startswith(f"# Preset mini: {title.lower()}\n\n")
        for picture in re.findall(r"!\[.*?\]\((.*?)\)", page):
            assert (directory / picture).is_file()
    pictures = {path.name for path in directory.glob("*.png")}
    assert pictures == {"bars.png", "plan.png"}
    assert "Methods side by side" not in text  # OTReg alone has its own page


def test_results_of_several_experiments_share_a_file(written: Written, tmp_path: Path) -> None:
    results, readme = tmp_path / "RESULTS.md", tmp_path / "README.md"
    readme.write_text("# A\n<!-- results: mini -->\nold\n<!-- end of results -->\nend\n")
    stale = tmp_path / "results/mini/methods.md"
    stale.parent.mkdir(parents=True)
    stale.write_text("of yesterday")
    for name in ("pretrained", "mini", "mini"):
        report = replace(written.report, name=name)
        renamed = replace(written, report=report, title=f"Preset {name}")
        publish(renamed, Documents(results, readme))
        assert ("old" in readme.read_text()) == (name == "pretrained")
    text = results.read_text(encoding="utf-8")
    assert re.findall("^## .*", text, re.M) == ["## Preset mini", "## Preset pretrained"]
    links = re.findall(r"\]\((.*?)\)", text)
    assert len(links) == 12 and all((tmp_path / path).is_file() for path in links)
    assert not stale.exists()
    shown = readme.read_text(encoding="utf-8")
    assert shown.startswith("# A\n<!-- results: mini -->\n**Macro") and shown.endswith("end\n")
    assert "OTReg is better than control" in shown
    [picture] = re.findall(r"!\[.*?\]\((.*?)\)", shown)
    assert (tmp_path / picture).read_bytes() == b"a transport plan"


def test_the_readme_shows_the_chosen_row_the_primary_pair_and_the_baseline(
    written: Written,
) -> None:
    report = written.report
    assert [line[0] for line in small_table(report).lines] == [
        "OTReg, CTC read-out", "control, LLM", "OTReg, LLM *",
    ]  # fmt: skip
    whisper = replace(report.rows[System("control", "llm")], name="Whisper zero-shot")
    chosen = replace(report.selection, best=System("sft", "ctc", "SFT"))
    table = small_table(
        replace(report, rows={System("whisper", ""): whisper, **report.rows}, selection=chosen)
    )
    assert [line[0] for line in table.lines] == [
        "Whisper zero-shot", "SFT, CTC read-out *", "SFT, LLM", "control, LLM", "OTReg, LLM",
    ]  # fmt: skip
    assert table.header == ("system", "ID WER", "ID CER", "OOD WER", "OOD CER")


def test_test_sets_stand_below_each_other_for_every_way_of_decoding(written: Written) -> None:
    report = written.report
    table = set_table(report)
    assert table.header == ("set", "OTReg, CTC read-out", "OTReg, LLM")
    assert [line[0] for line in table.lines] == [
        "en core_sounds", "it core_sounds", "en drascula", "it pico_synthetic (synthetic)",
    ]  # fmt: skip
    result = report.rows[System("otreg", "llm")].group("out_of_domain")[0]
    assert table.lines[2][2] == f"{result.rate('wer'):.1f} / {result.rate('cer'):.1f}"


def test_a_readme_without_the_end_of_the_results_stays_as_it_is() -> None:
    with pytest.raises(UserError, match="put <!-- results: mini --> and <!-- end of results -->"):
        rewrite_between_markers("<!-- results: mini -->\n", "mini", "new", "README.md")


def test_a_mean_over_fewer_test_sets_is_left_out(scored: Path, few_draws: None) -> None:
    results = Results(load_experiment(scored))
    whole = results.row(System("otreg", "llm", "OTReg"), [1], ["test", "ood"])
    part = results.row(System("control", "llm"), [1], ["test"])
    lines = {line[0]: line for line in headline([whole, part]).lines}
    assert lines["control, LLM"][3:] == ("-",) * 4 and "±" in lines["OTReg, LLM"][3]
    cells = {line[0]: line for line in compact([whole, part]).lines}
    assert cells["control, LLM"][2].endswith("/ -") and cells["OTReg, LLM"][2].endswith("s")


def test_the_command_line_prints_the_table(
    scored: Path,
    data_dirs: dict[str, Path],
    tmp_path: Path,
    few_draws: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["slm_report", "--exp", str(scored)]
    command += ["--output", str(tmp_path / "report"), "--results_md", str(tmp_path / "RESULTS.md")]
    command += ["--command", "./run.sh", "--data_dir", *map(str, data_dirs.values())]
    stale = tmp_path / "report/methods.md"
    stale.parent.mkdir()
    stale.write_text("of yesterday, when there were more arms")
    monkeypatch.setattr("sys.argv", command)
    slm_report.main()
    assert not stale.exists()
    printed = capsys.readouterr().out
    assert "WER (%) by language" in printed and "OTReg, LLM" in printed
    assert printed == (tmp_path / "report/table.txt").read_text(encoding="utf-8")
    assert "`./run.sh`" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    json.loads((tmp_path / "results/mini/results.json").read_text())


def test_a_run_ends_with_pictures_and_a_next_step(written: Written) -> None:
    """With the chosen model, or the best one that has an LLM."""
    pictures, report, following, _ = (written.directory / "next.txt").read_text().splitlines()
    paths = [Path(path) for path in pictures.removeprefix("Pictures: ").split(", ")]
    assert [path.name for path in paths] == ["bars.png", "plan.png"]
    assert all(path.is_file() for path in (*paths, Path(report.removeprefix("Report: "))))
    assert "/otreg_s1/packed/model --language en RECORDING" in following
    dev = {System("sft", "ctc"): (1.0, 1.0), System("sft", "llm"): (2.0, 1.0)}
    chosen = replace(written.report.selection, dev=written.report.selection.dev | dev)
    told = ending(replace(written.report, selection=chosen), written.directory, [])
    assert "/sft_s1/packed/model" in told and "Pictures" not in told


def test_names_of_runs_mean_nothing(scored: Path, tmp_path: Path, few_draws: None) -> None:
    """With every run called otherwise the report says the same."""
    text, results = _report(scored)
    names = {"pretrain": "brr.7", "sft": "pre-train_s1", "control": "sft_s9", "otreg": "Zz"}
    preset = yaml.safe_load((MINI / "experiment.yaml").read_text())
    old = preset["runs"]
    preset["runs"] = {}
    for name, new in names.items():
        run = {"title": name, **old[name]}
        if "like" in run:
            run["like"] = names[run["like"]]
        if "after" in run:
            upstream, rule = run["after"].split("@")
            run["after"] = f"{names[upstream]}@{rule}"
        preset["runs"][new] = run
    for key in ("arms", "pretrainings"):
        preset[key] = [names[name] for name in preset[key]]
    for pair in preset["compare"]:
        pair.update({role: names[pair[role]] for role in ("baseline", "candidate")})
    conf, directory = tmp_path / "conf", tmp_path / "exp" / "mini"
    shutil.copytree(MINI, conf)
    (conf / "experiment.yaml").write_text(yaml.safe_dump(preset, sort_keys=False))
    read_experiment(conf, directory, seeds=[1, 2], modes=["ctc", "llm"]).write()
    for (name, new), seed in product(names.items(), (1, 2)):
        shutil.copytree(scored / f"{name}_s{seed}", directory / f"{new}_s{seed}")
    renamed_text, renamed = _report(directory)
    dates = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
    assert dates.sub("", renamed_text) == dates.sub("", text)
    assert [row.pop("arm") for row in renamed["rows"]] != [r.pop("arm") for r in results["rows"]]
    assert renamed == results
