"""parse_options.sh, sourced by a real bash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = f"""set -euo pipefail
nj=4 skip_train=false train_args= stage=data
usage() {{ echo the help; }}
. {Path(__file__).parents[2]}/egs2/TEMPLATE/slm1/utils/parse_options.sh
echo "$nj $skip_train [$train_args] $stage rest:$*"
"""


def parse(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", SCRIPT, "script", *arguments], capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "4 false [] data rest:"),
        (["--nj", "8"], "8 false [] data rest:"),
        (["--skip-train", "true"], "4 true [] data rest:"),
        (["--skip_train", "--nj", "2"], "2 true [] data rest:"),
        (["--skip_train"], "4 true [] data rest:"),
        (["--skip_train", "false", "x", "--nj", "1"], "4 false [] data rest:x --nj 1"),
        (["--train-args", "--max_epoch 3"], "4 false [--max_epoch 3] data rest:"),
        (["--train_args", ""], "4 false [] data rest:"),
        (["--nj", "1", "--", "--nj", "2"], "1 false [] data rest:--nj 2"),
    ],
)
def test_values(arguments: list[str], expected: str) -> None:
    done = parse(*arguments)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, expected, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stag", "3"], "error: unknown option --stag; --help lists the options"),
        (["--PATH", "x"], "error: unknown option --PATH; --help lists the options"),
        (["--nj"], "error: --nj needs a value; write --nj VALUE"),
        (["--stage", "--nj", "3"], "error: --stage needs a value; write --stage VALUE"),
        (["--skip_train", "yes"], "error: --skip_train yes: expected true or false"),
        (["--nj=3"], "error: --nj=3: the value stands behind a space; write --nj 3"),
        (["-nj", "3"], "error: -nj: options start with two hyphens; write --nj"),
    ],
)
def test_mistakes(arguments: list[str], message: str) -> None:
    failed = parse(*arguments)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith(message)
    assert len(failed.stderr.splitlines()) == 1


def test_help() -> None:
    done = parse("--nj", "2", "--help", "--unknown")
    assert (done.returncode, done.stdout) == (0, "the help\n")
