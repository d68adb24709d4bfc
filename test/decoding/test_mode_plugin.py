"""A package outside the repository brings a mode of decoding by entry point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import block_with

from espnet_otreg.bin import slm_decode
from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.decoding.modes import MODES, configure_modes, known_modes, registry
from espnet_otreg.errors import ConfigErrors
from espnet_otreg.files import read_json

MODULE = block_with("extending.md", "python", "LongWords(CTC)")

ENTRY_POINTS = """
[espnet_otreg.decoding_modes]
long_words = long_words:LongWords
broken = long_words:Missing
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package on the path, as pip lays it down."""
    site = tmp_path / "site"
    about = site / "long_words-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "long_words.py").write_text(MODULE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: long-words\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(MODES, "_registered", dict(MODES._registered))
    registry._known.cache_clear()
    yield
    registry._known.cache_clear()


def test_a_mode_of_another_package_decodes(
    installed: None, tiny_slm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, output = tiny_slm.parent / "features", tmp_path / "out"
    monkeypatch.setattr("sys.argv", [
        "slm_decode", "--model_dir", str(tiny_slm), "--data_dir", str(features),
        "--output_dir", str(output), "--modes", "ctc", "long_words", "--letters", "4",
    ])  # fmt: skip
    slm_decode.main()
    ctc, long = (read_table(output / mode / "features/text") for mode in ("ctc", "long_words"))
    assert long == {k: " ".join(w for w in t.split() if len(w) > 3) for k, t in ctc.items()} != ctc
    assert read_json(output / "long_words/features/status.json")["options"] == {"letters": 4}
    assert known_modes()["long_words"].title == "long words"


def test_its_mistakes_are_explained_like_our_own(installed: None) -> None:
    with pytest.raises(ConfigErrors) as caught:
        configure_modes(["long_wods", "broken"], {"letters": 0, "leters": 2})
    assert caught.value.errors == [
        "leters: unknown option; did you mean 'letters'?",
        "letters: expected a whole number from 1 to 9, found 0",
        "mode 'long_wods': there is no such mode; did you mean 'long_words'?",
        "mode.broken: cannot be loaded from long_words:Missing: AttributeError: module "
        "'long_words' has no attribute 'Missing'",
    ]
    assert "--letters" in slm_decode.get_parser().format_help()  # whatever else is broken


def test_without_the_package_there_is_no_such_mode() -> None:
    with pytest.raises(ConfigErrors, match="mode 'long_words': there is no such mode"):
        configure_modes(["long_words"])
