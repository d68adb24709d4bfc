"""The classes of the CTC read-out: from training text only, blank apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bad_input import assert_refused, command

from espnet_otreg.errors import UserError
from espnet_otreg.files import sha256_file
from espnet_otreg.slm.prompt import load_tokenizer
from espnet_otreg.slm.token_classes import count_token_classes


def test_counts_are_those_of_the_tokenizer(tiny_llm: Path) -> None:
    texts = ["press one", "press one now", "premere uno"]
    classes = count_token_classes(texts, str(tiny_llm))
    tokenizer = load_tokenizer(str(tiny_llm))
    ids = [i for text in texts for i in tokenizer(text, add_special_tokens=False)["input_ids"]]
    assert classes["token_ids"] == sorted(set(ids))
    assert classes["counts"] == [ids.count(i) for i in sorted(set(ids))]
    assert classes["anchor_token_id"] == tokenizer.pad_token_id
    assert classes["anchor_token_id"] not in classes["token_ids"]
    assert classes["tokenizer"] == {
        "path": str(tiny_llm),
        "sha256": sha256_file(tiny_llm / "tokenizer.json"),
    }


def test_no_text_is_one_sentence(tiny_llm: Path) -> None:
    with pytest.raises(UserError, match="no transcripts"):
        count_token_classes([], str(tiny_llm))


def test_command_writes_the_classes(tiny_llm: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a press one now\nb premere uno\n", encoding="utf-8")
    output = tmp_path / "tokens/classes.json"
    options = ("--text", tmp_path / "text", "--llm", tiny_llm, "--output", output)
    done = command("token_classes", *options)
    assert done.status == 0, done.stderr
    assert "token classes" in done.stdout
    found = json.loads(output.read_text(encoding="utf-8"))
    assert found == count_token_classes(["press one now", "premere uno"], str(tiny_llm))


def test_command_names_a_missing_text(tiny_llm: Path, tmp_path: Path) -> None:
    options = ("--text", tmp_path / "text", "--llm", tiny_llm, "--output", tmp_path / "c.json")
    assert_refused(command("token_classes", *options), tmp_path / "text")
    assert not (tmp_path / "c.json").exists()
