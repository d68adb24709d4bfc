"""Two processes agree with one: values, gradients and statistics of a batch that they share."""

from dataclasses import replace

import torch
from multigrained_ranks import loss_and_gradient, make_projector, run_ranks

FIELDS = ("speech", "speech_mask", "text", "text_ids", "text_mask")
# Transcripts and frames of each process. The processes differ in utterances, tokens and frames.
CASES = {
    "a sentence that both have": (
        ([[3, 5, 3, 7, 9], [4], [2, 6]], [20, 7, 9]),
        ([[3, 5, 3, 7, 9], [8, 4, 4]], [15, 30]),
    ),
    "one utterance each": (([[3, 5]], [8]), ([[4, 6, 7]], [11])),
    "one without a token": (([[3, 5], [6]], [8, 5]), ([[]], [4])),
    "no token at all": (([[]], [8]), ([[], []], [4, 5])),
}
UNEVEN = (torch.arange(6).reshape(3, 2), torch.tensor([[7, 8, 9]]))


def padded(part, frames, tokens):
    """The fields of a batch with room for more frames and tokens."""
    more_s, more_t = frames - part.speech.shape[1], tokens - part.text.shape[1]
    pad = torch.nn.functional.pad
    return (
        pad(part.speech, (0, 0, 0, more_s)),
        pad(part.speech_mask, (0, more_s)),
        pad(part.text, (0, 0, 0, more_t)),
        pad(part.text_ids, (0, more_t), value=-1),
        pad(part.text_mask, (0, more_t)),
    )


def join(parts):
    """The batch that one process would have."""
    frames = max(part.speech.shape[1] for part in parts)
    tokens = max(part.text.shape[1] for part in parts)
    columns = zip(*(padded(part, frames, tokens) for part in parts), strict=True)
    return replace(parts[0], **dict(zip(FIELDS, map(torch.cat, columns), strict=True)))


def test_two_processes_agree_with_one(make_batch, tmp_path):
    cases = {}
    for name, parts in CASES.items():
        batches = [make_batch(*part, seed=n).without_padding() for n, part in enumerate(parts)]
        cases[name] = [replace(b, speech=b.speech.detach(), readout=None) for b in batches]
    found = run_ranks(tmp_path, cases, UNEVEN)
    for name, parts in cases.items():
        one = loss_and_gradient(make_projector(16), join(parts), 1.0)
        assert (one["value"] > 0.1) == (name != "no token at all")
        two = [results[name] for results in found]
        # DDP has averaged the gradients of losses that were multiplied by the two processes.
        value = (two[0]["value"] + two[1]["value"]) / 2
        torch.testing.assert_close(value, one["value"], rtol=1e-5, atol=1e-6)
        for rank in two:
            for gradient, expected in zip(rank["gradients"], one["gradients"], strict=True):
                torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
        shares = [len(part.text_ids) / len(join(parts).text_ids) for part in parts]
        for key in ("multigrained_token", "multigrained_segment", "multigrained_utterance"):
            mean = sum(s * r["statistics"][key] for s, r in zip(shares, two, strict=True))
            torch.testing.assert_close(mean, one["statistics"][key], rtol=1e-5, atol=1e-6)
    for results, own in zip(found, (slice(0, 3), slice(3, 4)), strict=True):
        rows, place = results["gathered"]
        assert rows.tolist() == [[0, 1, -1], [2, 3, -1], [4, 5, -1], [7, 8, 9]] and place == own
        assert results["nothing"][0].shape == (0, 3) and results["nothing"][1] == slice(0, 0)
