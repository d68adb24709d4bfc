"""The mini LLM trained on text alone: batches, determinism, resuming, what it leaves on disk."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from bad_input import ForkServer, command, run

from espnet_otreg.errors import UserError
from espnet_otreg.text_llm import training
from espnet_otreg.text_llm.batches import BatchMaker
from espnet_otreg.text_llm.confusions import spelling_distances
from espnet_otreg.text_llm.noise import misspell
from espnet_otreg.text_llm.reading import make_reading_test, read_greedily
from espnet_otreg.text_llm.settings import Sentence, TextLLMSettings, read_settings
from espnet_otreg.text_llm.simulation import ReadoutSimulator
from espnet_otreg.text_llm.tokenizer import (
    BOS_ID,
    EOS_ID,
    load_sentencepiece,
    save_tokenizer,
    train_sentencepiece,
)
from espnet_otreg.text_llm.training import train_text_llm

LANGUAGES = ("en", "it")
TEXTS = {
    "en": [f"press {a} {b}" for a in ("one", "two", "the key") for b in ("now", "again", "later")],
    "it": [f"premere {a} {b}" for a in ("uno", "due", "il tasto") for b in ("adesso", "ancora")],
}
SENTENCES = [Sentence(text, language) for language, texts in TEXTS.items() for text in texts]
SETTINGS = TextLLMSettings(
    vocabulary_size=32,
    hidden_size=32,
    layers=2,
    heads=2,
    languages=LANGUAGES,
    positions=2_000,
    batch_positions=60,
)


def yaml_of(settings: TextLLMSettings) -> str:
    values = {**vars(settings), "languages": list(settings.languages)}
    return "".join(f"{name}: {value}\n" for name, value in values.items())


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    texts = [sentence.text for sentence in SENTENCES]
    save_tokenizer(train_sentencepiece(texts, LANGUAGES, 32), LANGUAGES, directory)
    return directory


def test_batch_has_the_layout_of_the_spoken_language_model(pieces: Path) -> None:
    processor = load_sentencepiece(pieces)
    maker = BatchMaker(processor, SETTINGS, seed=0)
    table = torch.randn(len(processor), 8)
    batch = maker.batch(SENTENCES[:3], table, noise=0.0)
    for row, sentence in enumerate(SENTENCES[:3]):
        target = processor.encode(sentence.text)
        predicted = batch.labels[row] >= 0
        assert batch.labels[row, predicted].tolist() == [*target, EOS_ID]
        start = int(predicted.nonzero()[0])
        language = processor.piece_to_id(f"<{sentence.language}>")
        assert torch.equal(batch.inputs[row, 0], table[BOS_ID])
        assert torch.equal(batch.inputs[row, start], table[language])
        written = batch.inputs[row, start + 1 : start + 1 + len(target)]
        assert torch.equal(written, table[target])
        # The transcript's positions run beside the source's.
        assert batch.positions[row, : start + 3].tolist() == [*range(start), 0, 1, 2]


def test_noise_is_what_it_says() -> None:
    text = "нажмите один или подождите ответа оператора " * 20
    changed = misspell(text, "ru", 0.2, random.Random(0))
    assert changed == misspell(text, "ru", 0.2, random.Random(0)) != text
    assert 0.8 * len(text) < len(changed) < 1.2 * len(text)


def levenshtein(a: list[int], b: list[int]) -> int:
    import jiwer

    counts = jiwer.process_words(" ".join(map(str, a)), " ".join(map(str, b)))
    return int(counts.substitutions + counts.deletions + counts.insertions)


def test_simulated_read_outs_are_as_wrong_as_asked(pieces: Path) -> None:
    processor = load_sentencepiece(pieces)
    simulate = ReadoutSimulator(processor, random.Random(0))
    ids = processor.encode("press the key again " * 100)
    previous = 0.0
    for errors in (0.05, 0.15, 0.4):
        output = simulate(ids, errors)
        assert all(sum(share for _, share in p) == pytest.approx(1) for p in output)
        assert all([s for _, s in p] == sorted((s for _, s in p), reverse=True) for p in output)
        found = levenshtein(ids, [position[0][0] for position in output]) / len(ids)
        assert max(previous, 0.7 * errors) < found < 1.5 * errors
        previous = found
    # In bursts: an error follows an error more often than it follows none.
    wrong = [position[0][1] < 1 and position[0][0] for position in simulate(ids, 0.15)]
    assert len(set(wrong)) > 5


def test_spelling_distances_are_edit_distances() -> None:
    from rapidfuzz.distance import Levenshtein

    words = ["mt", "m", "wtm", "ttm", "mmtw"]  # none of these letters sounds like another
    distances = spelling_distances(words)
    for a, row in zip(words, distances, strict=True):
        expected = [Levenshtein.distance(a, b, weights=(9, 9, 11)) / 10 for b in words]
        assert row.tolist() == pytest.approx(expected)


def test_greedy_reading_is_what_the_llm_says_without_a_cache(pieces: Path) -> None:
    processor = load_sentencepiece(pieces)
    model = training.build_llm(SETTINGS, len(processor), 0).eval()
    table = model.get_input_embeddings().weight.detach()
    maker = BatchMaker(processor, SETTINGS, seed=0)
    test = make_reading_test(maker, SENTENCES[::4], table, seed=0)
    written = read_greedily(model, test.sources, test.languages, table)
    for tokens, source, language in zip(written, test.sources, test.languages, strict=True):
        assert len(tokens) <= len(source) * 3 // 2 + 8
        inputs = torch.cat([table[[BOS_ID]], source, table[[language, *tokens]]])[None]
        start = 1 + len(source)
        positions = torch.tensor([[*range(start), *range(1 + len(tokens))]])
        logits = model(
            inputs_embeds=inputs, position_ids=positions, attention_mask=torch.ones_like(positions)
        ).logits
        assert logits[0, start:-1].argmax(dim=-1).tolist() == tokens
    rate = test.read(model, processor, table)
    assert rate > 90 > test.word_error_rate > 0  # it has learnt nothing yet


def test_training_repeats_itself_and_is_whole(tmp_path: Path, fork_server: ForkServer) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = tmp_path / "llm.yaml"
    config.write_text(yaml_of(SETTINGS), encoding="utf-8")
    data = tmp_path / "train"
    data.mkdir()
    rows = [(f"{s.language}_{n:02d}", s) for n, s in enumerate(SENTENCES)]
    (data / "text").write_text("".join(f"{k} {s.text}\n" for k, s in rows), encoding="utf-8")
    (data / "utt2lang").write_text("".join(f"{k} {s.language}\n" for k, s in rows))

    words = ("--data_dir", data, "--config", config, "--seed", 3, "--output")
    here = fork_server("train_text_llm", *words, tmp_path / "a")
    # Every process draws the same noise: order, misspellings and sampled segmentations. This one
    # is started, not forked, so that it hashes words in another way.
    module = "espnet_otreg.bin.train_text_llm"
    there = run(sys.executable, "-m", module, *words, tmp_path / "b")
    assert here.status == there.status == 0, here.stderr + there.stderr
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in "ab"]
    weights = [model.state_dict() for model in models]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])

    model = models[0]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    assert model.config.model_type == "llama" and model.config.tie_word_embeddings
    assert model.get_input_embeddings().weight.shape == (len(tokenizer), 32)
    assert model.get_input_embeddings().weight[tokenizer.pad_token_id].norm() > 0.1
    assert not list(tmp_path.glob("*.partial"))


def test_a_killed_training_goes_on_and_learns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    settings = dataclasses.replace(SETTINGS, positions=30_000)
    script.write_text(
        "from pathlib import Path\n"
        "from espnet_otreg.text_llm.settings import Sentence, TextLLMSettings\n"
        "from espnet_otreg.text_llm.training import train_text_llm\n"
        f"train_text_llm({SENTENCES!r}, {{}}, {settings!r}, Path({str(tmp_path / 'llm')!r}))\n",
        encoding="utf-8",
    )
    partial = tmp_path / "llm.partial/checkpoint.pth"
    with subprocess.Popen([sys.executable, script], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not partial.is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert partial.is_file() and not (tmp_path / "llm").exists()
    taken = torch.load(partial, weights_only=False)["step"]
    train_text_llm(SENTENCES, {}, settings, tmp_path / "llm")
    said = capsys.readouterr().out
    assert (tmp_path / "llm/model.safetensors").is_file() and not partial.exists()
    total = int(said.split(" steps, ")[0].split()[-1])
    assert total > taken >= 200
    assert f"step {taken}," not in said  # not from the start
    assert float(said.split("cross-entropy ")[-1]) < 3.0  # a guess costs log(32) = 3.47


def test_the_check_finds_a_language_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "utt2lang").write_text("a it\nb de\n", encoding="utf-8")
    words = ("train_text_llm", "--check", "--data_dir", tmp_path, "--output", tmp_path / "llm")
    done = command(*words)
    assert done.status == 1
    assert done.stderr.startswith("error: the small LLM of stage 5: languages without a token: de;")
    (tmp_path / "utt2lang").write_text("a it\n", encoding="utf-8")
    assert command(*words).status == 0
    assert not (tmp_path / "llm").exists()


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="languages without a token: xx"):
        train_text_llm([Sentence("a b", "xx")], {}, SETTINGS, tmp_path / "llm")
    with pytest.raises(UserError, match="no transcripts"):
        train_text_llm([], {}, SETTINGS, tmp_path / "llm")
    config = tmp_path / "llm.yaml"
    config.write_text("layerz: 2\nheads: 0\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"layerz: unknown key; did you mean 'layers'"):
        read_settings(config)


@pytest.mark.parametrize("damaged", [False, True])
def test_what_another_training_has_left_is_named(tmp_path: Path, damaged: bool) -> None:
    left = tmp_path / "llm.partial/checkpoint.pth"
    left.parent.mkdir()
    torch.save({"model": {"x": torch.ones(1)}, "optimizer": {}, "step": 1, "read": 1}, left)
    if damaged:
        left.write_bytes(left.read_bytes()[:-30])
    says = "checkpoint is damaged" if damaged else "was interrupted here; remove it"
    with pytest.raises(UserError, match=says):
        train_text_llm(SENTENCES, {}, SETTINGS, tmp_path / "llm")
    assert not (tmp_path / "llm").exists()


@pytest.mark.parametrize("change", ["text", "settings", "seed"])
def test_a_training_goes_on_with_the_same_text_settings_and_seed_only(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    given: dict[str, Any] = {"text": SENTENCES, "settings": SETTINGS, "seed": 0}
    other = {
        "text": [*SENTENCES[1:], Sentence("another one", SENTENCES[0].language)],
        "settings": dataclasses.replace(SETTINGS, learning_rate=0.5),
        "seed": 1,
    }
    monkeypatch.setattr(training, "_train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_text_llm(given["text"], {}, given["settings"], tmp_path / "llm", given["seed"])
    now = given | {change: other[change]}
    with pytest.raises(UserError, match="other text or settings was interrupted here; remove it"):
        train_text_llm(now["text"], {}, now["settings"], tmp_path / "llm", now["seed"])
