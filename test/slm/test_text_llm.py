"""The mini LLM trained on text alone: batches, determinism, resuming, what it leaves on disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from espnet_otreg.errors import UserError
from espnet_otreg.slm.text_llm.batches import BatchMaker
from espnet_otreg.slm.text_llm.noise import blur, misspell
from espnet_otreg.slm.text_llm.settings import Sentence, TextLLMSettings, read_settings
from espnet_otreg.slm.text_llm.tokenizer import (
    BOS_ID,
    EOS_ID,
    load_sentencepiece,
    save_tokenizer,
    train_sentencepiece,
)
from espnet_otreg.slm.text_llm.training import train_text_llm

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
    import random

    text = "нажмите один или подождите ответа оператора " * 20
    changed = misspell(text, "ru", 0.2, random.Random(0))
    assert changed == misspell(text, "ru", 0.2, random.Random(0)) != text
    assert 0.8 * len(text) < len(changed) < 1.2 * len(text)
    table = torch.nn.functional.normalize(torch.randn(50, 64), dim=1)
    ids = torch.randint(0, 50, (4, 100))
    means = []
    for level in (0.0, 0.5, 1.0, 2.0):
        generator = torch.Generator().manual_seed(0)
        noisy = blur(ids, table, torch.full((4,), level), 0.6, 0.3, generator)
        means.append(float(torch.cosine_similarity(noisy, table[ids], dim=-1).mean()))
    assert means[0] == pytest.approx(1.0) and means == sorted(means, reverse=True)


def test_training_repeats_itself_and_is_whole(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = tmp_path / "llm.yaml"
    config.write_text(yaml_of(SETTINGS), encoding="utf-8")
    data = tmp_path / "train"
    data.mkdir()
    rows = [(f"{s.language}_{n:02d}", s) for n, s in enumerate(SENTENCES)]
    (data / "text").write_text("".join(f"{k} {s.text}\n" for k, s in rows), encoding="utf-8")
    (data / "utt2lang").write_text("".join(f"{k} {s.language}\n" for k, s in rows))

    def run(name: str) -> None:
        command = [sys.executable, "-m", "espnet_otreg.bin.train_text_llm", "--data_dir", data]
        options = ["--config", config, "--output", tmp_path / name, "--seed", "3"]
        finished = subprocess.run([*command, *options], capture_output=True, text=True)
        assert finished.returncode == 0, finished.stderr

    run("a")
    run("b")
    # Every process draws the same noise: order, misspellings and sampled segmentations.
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in "ab"]
    weights = [model.state_dict() for model in models]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])

    model = models[0]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    assert model.config.model_type == "llama" and model.config.tie_word_embeddings
    assert model.get_input_embeddings().weight.shape == (len(tokenizer), 32)
    assert model.get_input_embeddings().weight[tokenizer.pad_token_id].norm() > 0.1
    assert not list(tmp_path.glob("*.partial"))


def test_a_killed_training_goes_on_and_learns(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    settings = vars(SETTINGS) | {"positions": 30_000}
    script.write_text(
        "from pathlib import Path\n"
        "from espnet_otreg.slm.text_llm.settings import Sentence, TextLLMSettings\n"
        "from espnet_otreg.slm.text_llm.training import train_text_llm\n"
        f"sentences = [Sentence(*row) for row in {[(s.text, s.language) for s in SENTENCES]!r}]\n"
        f"settings = TextLLMSettings(**{settings!r})\n"
        f"train_text_llm(sentences, {{}}, settings, Path({str(tmp_path / 'llm')!r}))\n",
        encoding="utf-8",
    )
    partial = tmp_path / "llm.partial/checkpoint.pth"
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not partial.is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert partial.is_file() and not (tmp_path / "llm").exists()
    taken = torch.load(partial, weights_only=False)["step"]
    again = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "llm/model.safetensors").is_file() and not partial.exists()
    total = int(again.stdout.split(" steps, ")[0].split()[-1])
    assert total > taken >= 200
    assert f"step {taken}," not in again.stdout  # not from the start
    assert float(again.stdout.split("cross-entropy ")[-1]) < 3.0  # a guess costs log(32) = 3.47


def test_the_check_finds_a_language_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "utt2lang").write_text("a it\nb de\n", encoding="utf-8")
    command = [sys.executable, "-m", "espnet_otreg.bin.train_text_llm", "--check"]
    command += ["--data_dir", str(tmp_path), "--output", str(tmp_path / "llm")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the small LLM of stage 4: languages without a token: de;")
    (tmp_path / "utt2lang").write_text("a it\n", encoding="utf-8")
    assert subprocess.run(command, check=False).returncode == 0
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
    says = "checkpoint is damaged" if damaged else "other settings was interrupted here; remove it"
    with pytest.raises(UserError, match=says):
        train_text_llm(SENTENCES, {}, SETTINGS, tmp_path / "llm")
    assert not (tmp_path / "llm").exists()
