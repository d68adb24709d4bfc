"""With PyTorch, NumPy and PyYAML the losses work; whatever needs more says what is missing."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = sorted(
    path.stem for path in (ROOT / "espnet_otreg/bin").glob("*.py") if path.stem != "__init__"
)

LOSSES = """
import torch
from espnet_otreg.regularizers import AlignmentBatch, parse_regularizers
from espnet_otreg.regularizers.combine import apply_regularizers
from espnet_otreg.slm.readout import TokenReadout

torch.manual_seed(0)
table = torch.randn(20, 16)
ids = torch.tensor([[3, 4, 5], [6, 7, -1]])
speech = torch.randn(2, 12, 16, requires_grad=True)
batch = AlignmentBatch(
    speech, torch.ones(2, 12, dtype=torch.bool), table[ids.clamp(min=0)], ids, ids >= 0,
    table[0], 0, 0.04, TokenReadout(range(1, 12), 0, 20, lambda chosen: table[chosen]),
    speech_at_start=torch.randn(2, 12, 16),
)
names = ("otreg", "ctc", "divergence", "monge_gap", "multigrained")
chosen = parse_regularizers([{name: {"weight": 1.0}} for name in names])
total, statistics = apply_regularizers(chosen, batch, 10**6, True)
total.backward()
answer["losses"] = {name: float(value) for name, value in statistics.items()}
answer["gradient"] = float(speech.grad.norm())
"""

DOORS = """
import contextlib, importlib, io
from espnet_otreg.errors import run_main

def run(command, arguments):
    # The command as a shell starts it: exit status and standard error.
    sys.argv = [command, *arguments]
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            run_main(importlib.import_module(f"espnet_otreg.bin.{command}").main)
        except SystemExit as ended:
            return [ended.code, told.getvalue()]

answer["help"] = {command: run(command, ["--help"]) for command in commands}
answer["doors"] = {command: run(command, arguments) for command, arguments in doors.items()}
import espnet_otreg
for name in ("SpeechLM", "SLMTask"):
    try:
        getattr(espnet_otreg, name)
    except ImportError as error:
        answer["doors"][name] = [1, f"error: {error}\\n"]
"""


def _closure(names: list[str]) -> dict[str, metadata.Distribution]:
    """Installed distributions with all that they require, no extras."""
    found: dict[str, metadata.Distribution] = {}
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        for text in found[name].requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                names.append(requirement.name)
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with links to what setup.py requires without extras, and no more."""
    directory = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(directory, symlinks=True, with_pip=False)
    (site,) = directory.glob("lib/python3*/site-packages")
    # By its name in setup.py: the metadata of an editable installation may be older.
    (line,) = re.findall(r"^REQUIREMENTS = \[(.+)\]$", (ROOT / "setup.py").read_text(), re.M)
    names = [Requirement(text).name for text in re.findall(r'"([^"]+)"', line)]
    assert "espnet" not in names
    for distribution in _closure(names).values():
        for file in distribution.files or []:
            top = file.parts[0]
            target = Path(str(distribution.locate_file(top)))
            if top != ".." and not (site / top).exists():
                (site / top).symlink_to(target)
    return directory / "bin/python"


@pytest.fixture(scope="module")
def answer(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process in that environment has found."""
    directory = tmp_path_factory.mktemp("doors")
    llm = "llm_conf: {model: exp/llm}\n"
    (directory / "train.yaml").write_text(llm)
    (directory / "model").mkdir()
    (directory / "model/config.yaml").write_text(llm)
    (directory / "model/latest.pth").touch()
    (directory / "a.wav").touch()
    model = ["--model_dir", "model"]
    doors = {
        "slm_train": ["--config", "train.yaml", "--output_dir", "exp/a"],
        "slm_transcribe": [*model, "a.wav"],
        "slm_decode": [*model, "--data_dir", "data", "--output_dir", "exp/b"],
        "slm_pack": [*model, "--output", "packed"],
    }
    program = "\n".join(
        [
            "import json, sys",
            f"commands, doors, answer = {COMMANDS!r}, {doors!r}, {{}}",
            LOSSES,
            DOORS,
            "print(json.dumps(answer))",
        ]
    )
    run = subprocess.run(
        [python, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{program}"],
        cwd=directory, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def test_the_losses_need_pytorch_alone(answer: dict[str, Any]) -> None:
    losses = answer["losses"]
    for name in ("otreg", "ctc", "divergence", "monge_gap", "multigrained"):
        assert any(key.startswith(name) for key in losses), name
    assert all(math.isfinite(value) for value in losses.values())
    assert 0 < answer["gradient"] < math.inf


SENTENCE = re.compile(
    r"error: the package \w+ is not installed; "
    r"run tools/install\.sh, or pip install 'espnet_otreg\[espnet\]'\n"
)


def test_every_command_shows_its_help_or_says_what_it_lacks(answer: dict[str, Any]) -> None:
    refused = {name for name, told in answer["help"].items() if told != [0, ""]}
    # Which languages a publisher has is part of their help.
    assert refused <= {"prepare_corpus", "prepare_sets"}
    for name in refused:
        status, told = answer["help"][name]
        assert status == 1 and SENTENCE.fullmatch(told), told


@pytest.mark.parametrize(
    "door", ["slm_train", "slm_transcribe", "slm_decode", "slm_pack", "SpeechLM", "SLMTask"]
)
def test_a_door_says_which_command_installs_what_it_needs(
    answer: dict[str, Any], door: str
) -> None:
    status, told = answer["doors"][door]
    assert status == 1 and SENTENCE.fullmatch(told), told


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, espnet_otreg; assert espnet_otreg.__version__;"
        "assert {'SpeechLM', 'SLMTask'} <= set(dir(espnet_otreg));"
        "print(sorted({'torch', 'yaml', 'numpy', 'espnet2'} & sys.modules.keys()))"
    )
    told = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    assert told == "[]\n"


def test_a_defect_of_ours_is_no_missing_package() -> None:
    import espnet_otreg
    from espnet_otreg.errors import missing_package

    for name in ("espnet_otreg.no_such_module", "yaml.no_such_module"):
        with pytest.raises(ModuleNotFoundError):
            missing_package(ModuleNotFoundError("no", name=name))
    with pytest.raises(AttributeError, match="no attribute 'SpeechML'"):
        _ = espnet_otreg.SpeechML
