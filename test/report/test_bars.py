"""The picture of error rates."""

from __future__ import annotations

from pathlib import Path

from espnet_otreg.report.bars import draw_bars
from espnet_otreg.report.style import load_pyplot
from espnet_otreg.scoring.rows import Row, SetResult


def row(name: str) -> Row:
    utterances = {
        f"u{n}": {"word": [n % 3, 4], "character": [n % 5, 20], "sentence": str(n)}
        for n in range(9)
    }
    rates = {"wer": {"rate": 25.0}, "cer": {"rate": 10.0}}
    sets = [
        SetResult(language, "a", group, "word", "test", ({**rates, "speakers": 1},), (utterances,))
        for language in ("en", "it")
        for group in ("in_domain", "out_of_domain")
    ]
    return Row(name, "otreg-1", 1, tuple(sets))


def test_six_long_names_are_not_cut_off(tmp_path: Path) -> None:
    draw_bars([row(f"OTReg + CTC, joint CTC + LLM {n}") for n in range(6)], tmp_path / "bars.png")
    pixels = load_pyplot().imread(tmp_path / "bars.png")[..., :3]
    for edge in (pixels[:, 0], pixels[:, -1], pixels[0], pixels[-1]):
        assert (edge == 1).all()
