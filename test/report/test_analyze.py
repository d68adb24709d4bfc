"""Stage 13 on a tiny model: a projector that knows the transcript, and one that does not."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny_corpus import DIM, write_features
from tiny_experiment import plan_mini
from tiny_llm import SENTENCES, build_tiny_llm

from espnet_otreg.data.kaldi_dir import own_domain
from espnet_otreg.errors import UserError
from espnet_otreg.files import write_json
from espnet_otreg.report import analyze as analysis_module
from espnet_otreg.report import utterances
from espnet_otreg.report.alignment_results import analysis_tables, gap_sentences, read_analyses
from espnet_otreg.report.analyze import analyze
from espnet_otreg.report.plan_picture import draw_plan, plan_of
from espnet_otreg.report.utterances import read_utterances
from espnet_otreg.slm.build import build_model
from espnet_otreg.slm.config import parse_slm_config
from espnet_otreg.slm.embeddings import SpeechEmbeddings
from espnet_otreg.slm.model import SpokenLanguageModel
from espnet_otreg.slm.prompt import encode_transcript, load_tokenizer

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> SpokenLanguageModel:
    root = tmp_path_factory.mktemp("analysis")
    llm = build_tiny_llm(root / "llm")
    tokenizer = load_tokenizer(str(llm))
    texts = [text for texts in SENTENCES.values() for text in texts]
    ids = sorted({i for text in texts for i in encode_transcript(tokenizer, text)})
    write_json(root / "classes.json", {"token_ids": ids, "anchor_token_id": 0})
    values = {
        "encoder_conf": {"input_size": DIM, "frame_seconds": 0.02},
        "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4},
        "llm_conf": {"model": str(llm)},
        "readout_conf": {"classes": str(root / "classes.json")},
    }
    torch.manual_seed(0)
    return build_model(parse_slm_config(values)).eval()


@pytest.fixture
def features(tmp_path: Path) -> Path:
    return write_features(tmp_path / "features" / "test")


class Oracle(SpokenLanguageModel):
    """Hears each token of the transcript for two frames, with silence at both ends."""

    def encode(self, speech: torch.Tensor, lengths: torch.Tensor) -> SpeechEmbeddings:
        texts = {4 * len(text): text for texts in SENTENCES.values() for text in texts}
        rows = []
        for length in lengths.tolist():
            ids = encode_transcript(self.llm.tokenizer, texts[length])
            rows.append([0, 0, *(token for token in ids for _ in range(2)), 0])
        width = max(map(len, rows))
        mask = torch.tensor([[n < len(row) for n in range(width)] for row in rows])
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        return SpeechEmbeddings(self.llm.embed(ids), mask, self.frame_seconds)


@pytest.fixture
def oracle(model: SpokenLanguageModel, monkeypatch: pytest.MonkeyPatch) -> SpokenLanguageModel:
    monkeypatch.setattr(model, "__class__", Oracle)
    return model


def unambiguous(directory: Path) -> Path:
    """Only utterances whose length names their sentence, as Oracle needs; one of each."""
    lengths = [len(text) for texts in SENTENCES.values() for text in texts]
    lines = (directory / "text").read_text(encoding="utf-8").splitlines()
    kept = [
        line.split()[0]
        for line in lines
        if lengths.count(len(line.split(maxsplit=1)[1])) == 1 and line.split()[0].endswith("0")
    ]
    for name in ("feats.scp", "text", "utt2lang", "utt2domain", "utt2spk"):
        rows = (directory / name).read_text(encoding="utf-8").splitlines()
        chosen = [row for row in rows if row.split()[0] in kept]
        (directory / name).write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return directory


def test_who_knows_the_transcript_has_a_gap_and_finds_it(
    oracle: SpokenLanguageModel, features: Path
) -> None:
    analysis = analyze(oracle, [unambiguous(features)], ["tiny"])
    assert {entry["group"] for entry in analysis["sets"]} == {"in_domain"}
    for entry in analysis["sets"]:
        assert entry["matched_cosine"] == pytest.approx(1.0, abs=1e-5)
        assert entry["retrieval_cosine"] == entry["retrieval_cosine_raw"] == 100.0
        assert entry["chance"] == pytest.approx(100.0 / entry["candidates"])
        if entry["candidates"] > 1:
            assert entry["gap_cosine"] > 0.1 and entry["gap_transport"] > 0.1
            assert entry["retrieval_transport"] == 100.0
        # Three frames of each utterance are the anchor, the blank of the read-out; the plan has to
        # give the anchor its mass, and takes more frames for it where they are too few.
        assert 0 < entry["blank_frames"] <= entry["anchor_frames"] + 1e-6 < 50


def test_test_sets_without_domains_and_names_that_none_has(
    model: SpokenLanguageModel, features: Path
) -> None:
    (features / "utt2domain").rename(features / "utt2domain.away")
    try:
        assert {u.domain for u in read_utterances(features, model)} == {own_domain(features)}
    finally:
        (features / "utt2domain.away").rename(features / "utt2domain")
    with pytest.raises(UserError, match="--in_domain Tiny: no test set has this name; did you"):
        analyze(model, [features], ["Tiny"])


def test_an_untrained_projector_has_no_gap(model: SpokenLanguageModel, features: Path) -> None:
    analysis = analyze(model, [features])
    again = analyze(model, [features])
    assert analysis == again
    assert {entry["group"] for entry in analysis["sets"]} == {"out_of_domain"}
    gaps = [entry["gap_cosine"] for entry in analysis["sets"]]
    assert abs(sum(gaps) / len(gaps)) < 0.1
    assert len(analysis["utterances"]) == sum(entry["utterances"] for entry in analysis["sets"])
    # Two utterances of each sentence: only one of them can be a candidate.
    sizes = {entry["language"]: entry["candidates"] for entry in analysis["sets"]}
    assert sizes == {language: len(texts) for language, texts in SENTENCES.items()}


class Alive:
    """How many of the things that were watched have been in memory at the same time."""

    def __init__(self) -> None:
        self._now: set[int] = set()
        self.most = 0

    def watch(self, thing: Any) -> Any:
        if id(thing) not in self._now:
            self._now.add(id(thing))
            weakref.finalize(thing, self._now.discard, id(thing))
            self.most = max(self.most, len(self._now))
        return thing


def test_memory_does_not_grow_with_the_test_set(
    model: SpokenLanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utterances, "BATCH", 2)
    monkeypatch.setattr(utterances, "POOL", 4)
    read, measure = utterances.read_speech, analysis_module.compare
    peaks = []
    for copies in (2, 6):
        recordings, embeddings = Alive(), Alive()

        def watched_read(*args: Any, alive: Alive = recordings) -> Any:
            return alive.watch(read(*args))

        def watched_measure(speech: torch.Tensor, *args: Any, alive: Alive = embeddings) -> Any:
            return measure(alive.watch(speech), *args)

        monkeypatch.setattr(utterances, "read_speech", watched_read)
        monkeypatch.setattr(analysis_module, "compare", watched_measure)
        found = analyze(model, [write_features(tmp_path / str(copies), copies)])
        assert len(found["utterances"]) == copies * sum(map(len, SENTENCES.values()))
        peaks.append((recordings.most, embeddings.most))
    assert peaks == [(4, 1), (4, 1)]


def test_batches_do_not_change_the_figures(
    model: SpokenLanguageModel, features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = analyze(model, [features])
    monkeypatch.setattr(utterances, "BATCH", 1)
    monkeypatch.setattr(utterances, "POOL", 3)
    alone = analyze(model, [features])
    assert list(alone["utterances"]) == list(together["utterances"])
    for one, other in zip(alone["sets"], together["sets"], strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    for key, values in alone["utterances"].items():
        assert values == pytest.approx(together["utterances"][key], abs=1e-4)


def test_arms_are_compared_utterance_by_utterance(
    model: SpokenLanguageModel, features: Path, tmp_path: Path
) -> None:
    control = analyze(model, [features], ["tiny"])
    better = {
        **control,
        "utterances": {
            key: {**value, "gap_cosine": value["gap_cosine"] + 0.2}
            for key, value in control["utterances"].items()
        },
    }
    for arm, analysis in (("control", control), ("otreg", better)):
        write_json(tmp_path / f"exp/{arm}_s1/analysis/analysis.json", analysis)
    found, missing = read_analyses(plan_mini(tmp_path / "exp", arms=["control", "otreg"]))
    assert [analysis.arm for analysis in found] == ["control", "otreg"] and missing == []
    sentences = gap_sentences(found[0], found[1])
    assert "cosine gap: OTReg minus control is +0.2000 (95 % interval +0.2000 to" in sentences[0]
    assert sentences[0].endswith("larger.")
    assert sentences[1].endswith("no significant difference.")
    (table,) = analysis_tables(found)
    assert [line[0] for line in table.lines] == ["control", "OTReg"]


def test_a_language_with_one_utterance_has_no_gap_and_stops_nothing(
    model: SpokenLanguageModel, features: Path, tmp_path: Path
) -> None:
    leave_one_french_utterance(features)
    analysis = analyze(model, [features], ["tiny"])
    alone = [entry for entry in analysis["sets"] if entry["language"] == "fr"]
    assert [entry["gap_cosine"] for entry in alone] == [None]
    for arm in ("control", "otreg"):
        write_json(tmp_path / f"exp/{arm}_s1/analysis/analysis.json", analysis)
    found, _ = read_analyses(plan_mini(tmp_path / "exp", arms=["control", "otreg"]))
    assert len(gap_sentences(found[0], found[1])) == 2  # from the other languages
    assert len(analysis_tables(found)) == 1


def leave_one_french_utterance(features: Path) -> None:
    for name in ("feats.scp", "text", "utt2lang", "utt2spk", "utt2domain"):
        lines = (features / name).read_text().splitlines(keepends=True)
        french = [line for line in lines if line.startswith("fr_")]
        (features / name).write_text("".join(line for line in lines if line not in french[1:]))


def test_the_plan_lies_where_the_tokens_are(
    oracle: SpokenLanguageModel, features: Path, tmp_path: Path
) -> None:
    directory = unambiguous(features)
    key = "en_tiny_a_00"
    plan = plan_of(oracle, [directory], key, [])
    tokens = encode_transcript(oracle.llm.tokenizer, SENTENCES["en"][0])
    assert plan.labels[0] == "silence (anchor)" and len(plan.labels) == 1 + len(set(tokens))
    assert plan.shares.shape == (3 + 2 * len(tokens), len(plan.labels))
    assert plan.shares.sum(axis=1) == pytest.approx(1.0)
    best = plan.shares.argmax(axis=1).tolist()
    places = {token: 1 + n for n, token in enumerate(dict.fromkeys(tokens))}
    assert best == [0, 0, *(places[token] for token in tokens for _ in range(2)), 0]
    assert SENTENCES["en"][0] in plan.title and key in plan.title
    draw_plan(plan, tmp_path / "a.png")
    draw_plan(plan, tmp_path / "b.png")
    picture = (tmp_path / "a.png").read_bytes()
    assert picture.startswith(PNG) and picture == (tmp_path / "b.png").read_bytes()


def test_the_recording_is_drawn_where_there_is_one(
    model: SpokenLanguageModel, features: Path, tmp_path: Path
) -> None:
    import numpy as np
    import soundfile

    key = "it_tiny_a_01"
    soundfile.write(tmp_path / "a.wav", 0.1 * np.ones(8000), 16000)
    (tmp_path / "wav.scp").write_text(f"{key} {tmp_path}/a.wav\n")
    plan = plan_of(model, [features], key, [tmp_path])
    assert plan.samples is not None and len(plan.samples) == 8000
    draw_plan(plan, tmp_path / "plan.png")
    assert (tmp_path / "plan.png").read_bytes().startswith(PNG)


def test_mistakes_are_one_sentence(
    model: SpokenLanguageModel, features: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="'nobody' is in none of the test sets"):
        plan_of(model, [features], "nobody", [])
    with pytest.raises(UserError, match="no feats.scp there, which this model reads"):
        read_utterances(tmp_path, model)


def test_the_command_line_writes_the_analysis(
    model: SpokenLanguageModel,
    features: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from espnet_otreg.bin import slm_analyze

    leave_one_french_utterance(features)
    run = tmp_path / "sft_s1"
    run.mkdir()
    config = model.config
    values = {
        "encoder_conf": vars(config.encoder_conf),
        "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4},
        "llm_conf": {"model": config.llm_conf.model},
        "readout_conf": {"classes": config.readout_conf.classes},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    torch.save(model.state_dict(), run / "valid.loss.best.pth")
    options = ["--model_dir", run, "--data_dir", features, "--output", run / "analysis.json"]
    options += ["--in_domain", "tiny", "--plan_image", run / "plan.png"]
    monkeypatch.setattr("sys.argv", ["slm_analyze", *map(str, options)])
    slm_analyze.main()
    printed = capsys.readouterr().out
    assert "en tiny: gap" in printed and "fr tiny: a single utterance" in printed
    assert (run / "plan.png").read_bytes().startswith(PNG)
    assert (run / "analysis.json").is_file()
