"""run.pl by its contract, run for real."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

RUN_PL = Path(__file__).parents[2] / "egs2/TEMPLATE/slm1/utils/run.pl"


def run_pl(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RUN_PL, *arguments], cwd=directory, capture_output=True, text=True)


def body(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if not line.startswith("#")]


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(marker: str) -> bool:
    """Whether a process has ``marker`` as a word of its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def test_success_writes_header_output_and_footer(tmp_path: Path) -> None:
    done = run_pl(tmp_path, "--name", "x", "new/dir/a.log", "echo", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "new/dir/a.log").read_text().splitlines()
    assert lines[0] == "# echo hello"
    assert lines[1].startswith("# Started at ")
    assert "hello" in lines
    footer = r"# Ended \(code 0\) at .+, elapsed time \d+ seconds"
    assert re.fullmatch(footer, lines[-1])


def test_one_failing_job_is_status_1_and_in_the_log(tmp_path: Path) -> None:
    failed = run_pl(tmp_path, "a.log", "bash", "-c", "echo before; exit 7")
    assert failed.returncode == 1
    assert "1 / 1 failed, log is in a.log" in failed.stderr
    assert "before" in failed.stderr
    assert "# Ended (code 7) at" in (tmp_path / "a.log").read_text()


def test_a_sentence_of_ours_is_all_that_is_shown(tmp_path: Path) -> None:
    failed = run_pl(tmp_path, "a.log", "bash", "-c", "echo noise; echo error: no such file; exit 1")
    assert failed.stderr.splitlines()[0] == "error: no such file"
    assert "noise" not in failed.stderr


def test_jobs_are_numbered_everywhere_and_the_failing_one_is_named(tmp_path: Path) -> None:
    failed = run_pl(tmp_path, "N=1:4", "log/N.log", "bash", "-c", "echo NxN; [ N != 3 ]")
    assert failed.returncode == 1
    assert "1 / 4 failed (number 3), log is in log/3.log" in failed.stderr
    assert [body(tmp_path / f"log/{n}.log") for n in range(1, 5)] == [
        [f"{n}x{n}"] for n in range(1, 5)
    ]


def test_several_failures_are_counted(tmp_path: Path) -> None:
    failed = run_pl(tmp_path, "JOB=1:3", "JOB.log", "bash", "-c", "[ JOB = 2 ]")
    assert "2 / 3 failed (number 1, 3), log is in *.log" in failed.stderr


def test_a_single_job_number(tmp_path: Path) -> None:
    assert run_pl(tmp_path, "JOB=5", "a.log", "echo", "JOB").returncode == 0
    assert body(tmp_path / "a.log") == ["5"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["JOB=1:2", "a.log", "true"], "a.log: 2 jobs would write one log; put JOB into its name"),
        (["JOB=2:1", "JOB.log", "true"], "JOB=2:1: the range must"),
        (["JOB=0:1", "JOB.log", "true"], "JOB=0:1: the range must"),
        (["--memory", "4G", "a.log", "true"], "unknown option --memory; known: "),
        (["--gpu", "one", "a.log", "true"], "--gpu one: expected a whole number"),
        (["--max-jobs-run", "0", "a.log", "true"], "--max-jobs-run 0: expected a whole number"),
        (["--num_nodes", "2", "a.log", "true"], "use slurm.pl"),
        (["--mem"], "option --mem needs a value"),
        (["a.log"], "found no command"),
        ([], "found no command"),
        (["/proc/no/a.log", "true"], "/proc/no/a.log: cannot write the log"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    failed = run_pl(tmp_path, *arguments)
    assert failed.returncode == 1
    assert message in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_cluster_options_are_accepted(tmp_path: Path) -> None:
    options = ["--gpu", "1", "--mem", "4G", "--time", "1:00:00", "--num_nodes", "1"]
    assert run_pl(tmp_path, *options, "a.log", "true").returncode == 0


def test_arguments_arrive_unchanged(tmp_path: Path) -> None:
    words = ["a  b", "", "it's", '"q"', "$HOME", "*", "{a,b}", "x;y", "back\\slash", "é", "a|b"]
    show = ["python3", "-c", "import sys; print(sys.argv[1:])", *words]
    assert run_pl(tmp_path, "a.log", *show).returncode == 0
    assert body(tmp_path / "a.log") == [str(words)]


def test_pipes_and_redirections_reach_bash(tmp_path: Path) -> None:
    command = ["printf", r"b\na\n", "|", "sort", ">", "out.txt"]
    assert run_pl(tmp_path, "a.log", *command).returncode == 0
    assert (tmp_path / "out.txt").read_text() == "a\nb\n"


def test_a_failure_inside_a_pipe_counts(tmp_path: Path) -> None:
    assert run_pl(tmp_path, "a.log", "false", "|", "cat").returncode == 1


def test_threads_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "yes")
    show = ["bash", "-c", "echo $OMP_NUM_THREADS $INHERITED"]
    assert run_pl(tmp_path, "--num_threads", "3", "a.log", *show).returncode == 0
    assert body(tmp_path / "a.log") == ["3 yes"]


def test_max_jobs_run_limits_the_jobs_at_once(tmp_path: Path) -> None:
    count = "touch on.JOB; ls on.* | wc -l; sleep 0.2; rm on.JOB"
    for limit, most in (("1", 1), ("2", 2)):
        arguments = ["--max-jobs-run", limit, "JOB=1:4", "JOB.log", "bash", "-c", count]
        assert run_pl(tmp_path, *arguments).returncode == 0
        assert max(int(body(tmp_path / f"{n}.log")[0]) for n in range(1, 5)) == most


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_jobs(tmp_path: Path, sign: signal.Signals) -> None:
    marker = f"3600.{os.getpid()}{sign:d}"
    command = ["JOB=1:2", "JOB.log", "bash", "-c", f"sleep {marker}; true"]
    process = subprocess.Popen([RUN_PL, *command], cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(lambda: is_running(marker))
    process.send_signal(sign)
    assert process.wait(timeout=10) == 1
    assert not is_running(marker)
    assert "# Ended (code 143)" in (tmp_path / "1.log").read_text()


def test_nohup_protects_from_a_hangup(tmp_path: Path) -> None:
    wait = ["bash", "-c", "touch on; while [ ! -e go ]; do sleep 0.05; done"]
    process = subprocess.Popen(["nohup", RUN_PL, "a.log", *wait], cwd=tmp_path)
    wait_for((tmp_path / "on").exists)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.7)  # run.pl looks every half second
    (tmp_path / "go").touch()
    assert process.wait(timeout=10) == 0


def test_a_job_that_ignores_term_is_killed(tmp_path: Path) -> None:
    marker = f"3600.{os.getpid()}99"
    command = ["a.log", "bash", "-c", f"trap '' TERM; sleep {marker}; sleep {marker}"]
    process = subprocess.Popen([RUN_PL, *command], cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(lambda: is_running(marker))
    process.terminate()
    assert process.wait(timeout=15) == 1
    assert not is_running(marker)


def test_jobs_die_with_a_killed_caller_and_with_a_killed_wrapper(tmp_path: Path) -> None:
    marker = f"3600.{os.getpid()}98"
    script = f"{RUN_PL} a.log bash -c 'sleep {marker}; true'; true"
    caller = subprocess.Popen(["bash", "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(lambda: is_running(marker))
    caller.kill()
    caller.wait()
    wait_for(lambda: not is_running(marker))

    wrapper = subprocess.Popen([RUN_PL, "a.log", "sleep", marker], cwd=tmp_path)
    wait_for(lambda: is_running(marker))
    time.sleep(0.2)
    wrapper.kill()
    wrapper.wait()
    wait_for(lambda: not is_running(marker))
