"""What an LLM remembers: trees, going back, rows, tasks; against passes without a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from espnet_otreg.decoding.state import LLMState, read_prefix
from espnet_otreg.decoding.tree import TokenTree
from espnet_otreg.slm.assembly import LLMInput
from espnet_otreg.slm.llm import LLM
from espnet_otreg.slm.prompt import Prompt

from .conftest import LANGUAGES, Inputs

# Longer than the sliding window of the tiny Gemma (8) together with what stands before them.
TREES = [
    [[20, 21, 22, 23], [20, 30, 31], [40]],
    [[25], [26, 27]],
    [[9, 10, 11, 12, 13, 14, 15, 16, 17, 18], [9, 10, 33]],
    [[5, 6], [5, 7, 8]],
]


@torch.inference_mode()
def _alone(llm: LLM, one: LLMInput, tokens: Sequence[int]) -> torch.Tensor:
    """(V,) next-token logits behind one utterance and some tokens, by Transformers, at once."""
    ids = torch.tensor([list(tokens)], dtype=torch.long)
    after = one.position_ids[:, -1:] + torch.arange(1, len(tokens) + 1)
    embedded = torch.cat([one.inputs_embeds, llm.embed(ids)], dim=1)
    logits: torch.Tensor = llm.model(
        inputs_embeds=embedded,
        attention_mask=torch.ones(embedded.shape[:2], dtype=torch.long),
        position_ids=torch.cat([one.position_ids, after], dim=1),
    ).logits[0, -1]
    return logits


def _check(llm: LLM, inputs: Inputs, state: LLMState, said: Sequence[Sequence[int]]) -> None:
    """Every row of a state is where one pass over its utterance and tokens ends."""
    with torch.inference_mode():
        logits = state.logits()
    for number, tokens in enumerate(said):
        expected = _alone(llm, inputs([number]), tokens)
        torch.testing.assert_close(logits[number], expected, rtol=1e-3, atol=1e-4)


def _read(state: LLMState, said: list[list[int]], tokens: Sequence[int], **how: Any) -> None:
    state.read(torch.tensor(tokens)[:, None], **how)
    for row, token in zip(said, tokens, strict=True):
        row.append(token)


@pytest.mark.parametrize("branching", [True, False])
def test_committing_to_a_path_is_having_read_it_alone(
    reader: tuple[LLM, Prompt], inputs: Inputs, branching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = reader[0]
    state = read_prefix(llm, inputs(range(4)))
    said: list[list[int]] = [[], [], [], []]
    if not branching:  # as with attention that takes no mask of ours
        monkeypatch.setattr(LLMState, "can_branch", False)
    for depth in (2, 0, 9):  # a second tree stands behind what was kept of the first one
        trees = [TokenTree(several if branching else several[:1]) for several in TREES]
        outputs = state.read_trees(trees)
        nodes = [tree.paths[-1][: depth + 1][-1] for tree in trees]
        for row, (tree, node) in enumerate(zip(trees, nodes, strict=True)):
            tokens = [tree.tokens[n - 1] for n in tree.path_to(node)]
            with torch.inference_mode():
                found = llm.logits(outputs[row][node])
            expected = _alone(llm, inputs([row]), [*said[row], *tokens])
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
            said[row] += tokens
        state.commit(nodes)
        _check(llm, inputs, state, said)
    _read(state, said, [33, 34, 35, 36])
    _check(llm, inputs, state, said)
    state.keep([3, 1])
    assert state.mask.all(dim=0).any() and state.mask.any(dim=0).all()  # no padding is carried on
    with torch.inference_mode():
        kept = state.logits()
    for place, number in enumerate((3, 1)):
        expected = _alone(llm, inputs([number]), said[number])
        torch.testing.assert_close(kept[place], expected, rtol=1e-3, atol=1e-4)


def test_going_back_is_never_having_read(reader: tuple[LLM, Prompt], inputs: Inputs) -> None:
    llm = reader[0]
    state = read_prefix(llm, inputs(range(4)))
    said: list[list[int]] = [[], [], [], []]
    for counts in ([3, 0, 10, 5], [0, 0, 0, 0], [10, 10, 10, 10]):
        for step in range(10):  # as a small model drafts, token by token
            _read(state, said, [20 + step, 31, 40 - step, 9], tentative=True)
        state.go_back(counts)
        for row, count in zip(said, counts, strict=True):
            del row[len(row) - count :]
        _check(llm, inputs, state, said)
        _read(state, said, [50, 51, 52, 53])  # which stays
        _check(llm, inputs, state, said)
    with pytest.raises(RuntimeError, match=r"0 tokens were read tentatively, not \[1, 0, 0, 0\]"):
        state.go_back([1, 0, 0, 0])
    state.read_trees([TokenTree(several) for several in TREES])
    with pytest.raises(RuntimeError, match="trees were read: commit"):
        state.keep([0])
    state.commit([0, 0, 0, 0])  # the whole tree is forgotten
    _check(llm, inputs, state, said)


def test_a_fork_and_what_it_was_forked_from_go_their_own_ways(
    reader: tuple[LLM, Prompt], inputs: Inputs
) -> None:
    llm = reader[0]
    state = read_prefix(llm, inputs(range(4)))
    fork = state.fork()
    one, other = ([[] for _ in range(4)] for _ in range(2))
    for step in range(3):
        _read(state, one, [20 + step] * 4)
        _read(fork, other, [30 + step] * 4)
    _check(llm, inputs, state, one)
    _check(llm, inputs, fork, other)


class Allocated(TorchDispatchMode):
    """Bytes of all results that do not share the memory of an argument."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, torch.Tensor) and not tensor._is_view():
                self.bytes += tensor.numel() * tensor.element_size()
        return result


def test_selecting_rows_copies_no_others(reader: tuple[LLM, Prompt], inputs: Inputs) -> None:
    def used(count: int, rows: Sequence[int]) -> int:
        state = read_prefix(reader[0], inputs([2] * count))
        with torch.inference_mode(), Allocated() as allocated:
            chosen = state.select(rows)
            assert len(chosen) == len(rows)
        return allocated.bytes

    few, many = used(2, [1, 0]), used(40, [31, 0])
    assert 0 < many == few  # whatever else there is
    assert used(40, range(40)) > 15 * few
    state = read_prefix(reader[0], inputs([2] * 40))
    with torch.inference_mode(), Allocated() as allocated:
        state.fork()
    assert allocated.bytes == 0


def test_tasks_stay_with_their_rows(
    reader: tuple[LLM, Prompt], inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = reader[0]
    routed: list[tuple[str, ...]] = []

    class Routes:
        """An adapter that writes down what the rows of each pass are about."""

        mergeable = False

        def route(self, tasks: Sequence[str]) -> None:
            routed.append(tuple(tasks))

    monkeypatch.setattr(llm, "adapter", Routes())
    state = read_prefix(llm, inputs(range(4)))
    assert routed == [LANGUAGES]
    some = state.select([3, 1, 1])
    some.join(state.fork())
    some.keep([0, 2, 3, 6])
    some.read(torch.full((4, 1), 20))
    assert routed[1:] == [("ru", "en", "it", "ru")]
    some.read_trees([TokenTree([[20], [21]])] * 4)
    some.commit([1, 2, 0, 1])
    assert some.tasks == routed[-1] == ("ru", "en", "it", "ru") and state.tasks == LANGUAGES
    one = inputs([0])
    with torch.inference_mode():
        at = one.attention_mask.bool()
        llm.logits_at(one.inputs_embeds, one.attention_mask, one.position_ids, at, one.tasks)
    assert routed[-1] == ("it",)  # in training as well
