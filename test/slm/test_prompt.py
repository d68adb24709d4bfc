"""Chat templates and tokens without an embedding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from edited_model import edited_model
from tokenizers import AddedToken

from espnet_otreg.errors import ConfigErrors, UserError
from espnet_otreg.objectives.training import build_training_model
from espnet_otreg.slm.build import build_model
from espnet_otreg.slm.config import LLMConfig, PromptConfig, parse_slm_config
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.prompt import Prompt, build_prompt, load_tokenizer
from espnet_otreg.slm.token_classes import count_token_classes
from espnet_otreg.tasks.train_config import check_train_arguments

LOOP = "{% for m in messages %}"
USER = "<ru>{{ m['content'] }}</s>"
END = "{% endfor %}{% if add_generation_prompt %}<it>{% endif %}"
PROMPT = "press  one {speech} <now> & wait"


def chat(directory: Path, template: str, prompt: str = PROMPT) -> tuple[Prompt, Any]:
    tokenizer = load_tokenizer(str(directory))
    tokenizer.chat_template = template
    return build_prompt(PromptConfig({"default": prompt}, chat=True), tokenizer, 2), tokenizer


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ raise_exception('System role not supported') }}", "refuses the prompt .System role n"),
        ("{{ messages[0]['content'].no_such_method() }}", "refuses the prompt"),
        ("{% for m in messages %}", "refuses the prompt"),  # no template at all
        (LOOP + "<ru>" + END, "drops the prompt"),
        (LOOP + "{{ m['content'] | e }}" + END, "drops the prompt or changes its text"),
        (LOOP + "{{ m['content'] | upper }}" + END, "drops the prompt or changes its text"),
        (LOOP + "{{ m['content'].split() | join(' ') }}" + END, "drops the prompt or changes"),
        (LOOP + "{{ m['content'][:12] }}" + END, "drops the prompt or changes its text"),
        (LOOP + USER + USER + END, "repeats the prompt"),
    ],
)
def test_a_chat_template_that_loses_the_prompt(tiny_llm: Path, template: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        chat(tiny_llm, template)
    assert caught.value.where == "prompt_conf.templates.default" and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        LOOP + USER + END,
        "{{ bos_token }}" + LOOP + USER + END,
        "{{ bos_token }}{{ bos_token }}" + LOOP + USER + END,
        LOOP + "<ru>{% for part in m['content'] %}{% if part['type'] == 'text' %}"
        "{{ part['text'] }}{% endif %}{% endfor %}</s>" + END,  # a list of parts
        LOOP + "<ru>{{ m['content'] | trim }}</s>" + END,
    ],
    ids=["plain", "BOS", "BOS twice", "parts", "trimmed"],
)
def test_a_chat_template_that_keeps_the_prompt(tiny_llm: Path, template: str) -> None:
    prompt, tokenizer = chat(tiny_llm, template)
    before, after = prompt.around("it")
    assert before[:2] == (1, tokenizer.convert_tokens_to_ids("<ru>")) and before.count(1) == 1
    assert after[-2:] == (2, tokenizer.convert_tokens_to_ids("<it>"))


def test_a_chat_template_with_the_date_is_the_same_on_every_day(tiny_llm: Path) -> None:
    dated = "{{ strftime_now('%d %B %Y') }}" + LOOP + USER + END
    tokenizer = chat(tiny_llm, dated)[1]
    fixed, _ = chat(tiny_llm, "26 July 2024" + LOOP + USER + END)
    assert build_prompt(PromptConfig({"default": PROMPT}, chat=True), tokenizer, 2) == fixed


@pytest.mark.parametrize(
    ("ends", "template", "expected"),
    [
        ([2, 5], LOOP + "<ru>{{ m['content'] }}<es>\n" + END, 5),  # as Gemma and Llama 3 have it
        ([5, 2], LOOP + "<ru>{{ m['content'] }}<es>\n" + END, 5),  # as Qwen has it
        ([5], LOOP + "<ru>{{ m['content'] }}</s>" + END, 2),  # as Mistral has it
        ([5, 2], LOOP + "<ru>{{ m['content'] }}" + END, 5),  # none
        ([5, 2], "{% if messages[1] %}{{ raise_exception('one turn') }}{% endif %}"
         + LOOP + USER + END, 5),
    ],
)  # fmt: skip
def test_a_turn_ends_as_the_chat_template_ends_an_answer(
    tiny_llm: Path, ends: list[int], template: str, expected: int
) -> None:
    tokenizer = load_tokenizer(str(tiny_llm))
    tokenizer.chat_template = template
    assert tokenizer.convert_tokens_to_ids("<es>") == 5
    prompt = build_prompt(PromptConfig({"default": PROMPT}, chat=True), tokenizer, ends)
    assert prompt.eos_id == expected and set(prompt.stop_ids) == {*ends, expected}


def add_tokens(directory: Path, *tokens: AddedToken | str, **special: str) -> None:
    tokenizer = load_tokenizer(str(directory))
    tokenizer.add_tokens(list(tokens))
    tokenizer.add_special_tokens(special)
    tokenizer.save_pretrained(directory)


NO_ROW = r"has no row in the LLM's embedding table, which has 120"


def test_an_anchor_without_a_row(tiny_llm: Path, tmp_path: Path) -> None:
    directory = edited_model(tiny_llm, tmp_path / "llm")
    add_tokens(directory, pad_token="[PAD]")  # added, but no row for it
    arguments = ["--llm_conf", f"model={directory}"]
    for config, option in (
        (LLMConfig(str(directory)), []),
        (LLMConfig(str(directory), anchor_token="[PAD]"), ["--llm_conf", "anchor_token='[PAD]'"]),
    ):
        with pytest.raises(UserError, match=rf"anchor_token: the token '\[PAD\]' .120. {NO_ROW}"):
            LLM(config)
        with pytest.raises(UserError, match=rf"'\[PAD\]' .120. {NO_ROW}"):
            count_token_classes(["press one"], str(directory), config.anchor_token)
        with pytest.raises(ConfigErrors, match=rf"anchor_token: the token '\[PAD\]'.*{NO_ROW}"):
            check_train_arguments([*arguments, *option], data=False)
    assert LLM(LLMConfig(str(directory), anchor_token="<ru>")).anchor_id == 8


def test_words_without_a_row_and_special_tokens_that_nothing_uses(
    tiny_llm: Path, tmp_path: Path
) -> None:
    words = edited_model(tiny_llm, tmp_path / "words")
    add_tokens(words, "goodbye")
    with pytest.raises(UserError, match=f"the token 'goodbye' .120. {NO_ROW}"):
        LLM(LLMConfig(str(words)))
    with pytest.raises(UserError, match=f"--text: the token 'goodbye' .120. {NO_ROW}"):
        count_token_classes(["goodbye"], str(words))
    image = edited_model(tiny_llm, tmp_path / "image")
    add_tokens(image, AddedToken("<image>", special=True))
    values: dict[str, Any] = {
        "encoder_conf": {"input_size": 6, "frame_seconds": 0.02},
        "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4},
        "llm_conf": {"model": str(image)},
    }
    model = build_training_model(values)
    batch = {
        "speech": torch.randn(2, 8, 6),
        "speech_lengths": torch.tensor([8, 6]),
        "text": torch.tensor([[20, 21], [120, -1]]),
        "text_lengths": torch.tensor([2, 1]),
    }
    with pytest.raises(UserError, match=f"utterance b: the token '<image>' .120. {NO_ROW}"):
        model(**batch, utt_id=["a", "b"])
    for prompt in ({"templates": {"default": "<image>{speech}"}}, {"stop": ["<image>"]}):
        with pytest.raises(UserError, match=f"prompt_conf.*: the token '<image>' .120. {NO_ROW}"):
            build_model(parse_slm_config({**values, "prompt_conf": prompt}))


@pytest.mark.parametrize("eos", [120, [2, 5000], -1])
def test_an_end_beyond_the_vocabulary(tiny_llm: Path, tmp_path: Path, eos: Any) -> None:
    directory = edited_model(tiny_llm, tmp_path / "llm")
    path = directory / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": eos}))
    values = {
        "encoder_conf": {"input_size": 6, "frame_seconds": 0.02},
        "projector_conf": {"stack": 2, "layers": 1, "width": 24, "heads": 4},
        "llm_conf": {"model": str(directory)},
    }
    with pytest.raises(UserError, match=rf"generation_config.json: the token .* {NO_ROW}"):
        build_model(parse_slm_config(values))
