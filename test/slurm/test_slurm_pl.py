"""slurm.pl on a real cluster: how jobs end, and what the wrapper says of it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_cluster import SLURM_PL, Cluster, finish, wait_for

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]

# Says "ready" and goes on until it is told to end, which it then calls a success.
PATIENT = "trap 'echo told; exit 0' TERM; echo ready; for i in {1..3000}; do sleep 0.1; done"


def body(log: Path) -> list[str]:
    """What the command wrote."""
    return [line for line in log.read_text().splitlines() if not line.startswith("#")]


def wait_for_line(log: Path, line: str) -> None:
    wait_for(lambda: log.exists() and line in log.read_text().splitlines(), f"{line} in {log}")


def assert_failed(done: subprocess.CompletedProcess[str], *says: str) -> None:
    assert done.returncode == 1, done.stderr
    for part in says:
        assert part in done.stderr


def test_success_writes_header_output_and_footer(tmp_path: Path, slurm_pl: Run) -> None:
    done = slurm_pl("--name", "x", "new/dir/a.log", "echo", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "new/dir/a.log").read_text().splitlines()
    assert lines[0] == "# echo hello"
    assert lines[1].startswith("# Started at ")
    assert "hello" in lines
    assert lines[-1].startswith("# Ended (code 0) at ")
    assert [path.name for path in (tmp_path / "new/dir").iterdir()] == ["a.log"]


def test_a_failure_is_shown_with_its_last_lines(tmp_path: Path, slurm_pl: Run) -> None:
    failed = slurm_pl("a.log", "bash", "-c", "echo before; exit 7")
    assert_failed(failed, "before\n", "slurm.pl: 1 / 1 failed, log is in a.log")
    assert "# Ended (code 7) at " in (tmp_path / "a.log").read_text()


def test_the_failing_element_is_named(tmp_path: Path, slurm_pl: Run) -> None:
    failed = slurm_pl("N=1:4", "log/N.log", "bash", "-c", "echo NxN; [ N != 3 ]")
    assert_failed(failed, "3x3\n", "1 / 4 failed (number 3), log is in log/3.log")
    assert [body(tmp_path / f"log/{n}.log") for n in range(1, 5)] == [
        [f"{n}x{n}"] for n in range(1, 5)
    ]


def test_a_cancelled_pending_element_is_a_failure(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start
) -> None:
    command = "echo ready; while [ ! -e go ]; do sleep 0.1; done"
    process = start_slurm_pl(
        "--name", "pending", "--max-jobs-run", "1", "JOB=1:2", "JOB.log", "bash", "-c", command
    )
    wait_for_line(tmp_path / "1.log", "ready")
    cluster.ask("scancel", f"{cluster.job_named('pending')}_2")
    (tmp_path / "go").touch()
    assert_failed(finish(process), "1 / 2 failed (number 2)", "_2: ")
    assert "# Ended (code 0)" in (tmp_path / "1.log").read_text()


def test_a_cancelled_job_that_ends_well_is_a_failure(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start
) -> None:
    process = start_slurm_pl("--name", "cancelled", "a.log", "bash", "-c", PATIENT)
    wait_for_line(tmp_path / "a.log", "ready")
    cluster.ask("scancel", "-n", "cancelled")
    assert_failed(finish(process), "told\n", ": CANCELLED", "1 / 1 failed")


def test_a_time_out_is_named(tmp_path: Path, cluster: Cluster, start_slurm_pl: Start) -> None:
    process = start_slurm_pl("--name", "late", "--time", "1", "a.log", "bash", "-c", PATIENT)
    wait_for_line(tmp_path / "a.log", "ready")
    cluster.control("update", f"jobid={cluster.job_named('late')}", "EndTime=now")
    assert_failed(finish(process), "told\n", "DUE TO TIME LIMIT", ": TIMEOUT", "1 / 1 failed")


def test_too_much_memory_is_named(slurm_pl: Run) -> None:
    program = "import time; kept = b'x' * 400_000_000; time.sleep(60)"
    failed = slurm_pl("--mem", "100M", "a.log", "python3", "-c", program)
    assert_failed(failed, "exceeded memory limit", "1 / 1 failed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["JOB=1:2000", "JOB.log"], "the job was rejected: sbatch: error: "),
        (["--mem", "900G", "a.log"], "the job was rejected: "),
        (["--gpu", "3", "a.log"], "the job was rejected: "),
        (["--num_threads", "99", "a.log"], "can never start: PENDING (PartitionConfig)"),
        (["--num_nodes", "3", "a.log"], "can never start: PENDING (PartitionNodeLimit)"),
        (["--time", "5:00:00", "a.log"], "can never start: PENDING (PartitionTimeLimit)"),
        (["--memory", "4G", "a.log"], "--memory 4G: not declared; add 'option memory=* ...' to "),
        (["--config", "none.conf", "a.log"], "none.conf: cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_can_never_start_is_refused(
    tmp_path: Path, cluster: Cluster, slurm_pl: Run, arguments: list[str], message: str
) -> None:
    failed = slurm_pl(*arguments, "true")
    assert_failed(failed, message)
    assert len(failed.stderr.splitlines()) == 1
    wait_for(lambda: cluster.queue() == "", "an empty queue")


def test_an_unknown_partition_is_refused(tmp_path: Path, slurm_pl: Run) -> None:
    (tmp_path / "slurm.conf").write_text("command sbatch --partition nowhere\n")
    failed = slurm_pl("--config", "slurm.conf", "a.log", "true")
    assert_failed(failed, "the job was rejected: ", "invalid partition specified: nowhere")


def test_a_job_that_someone_must_release_says_so(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start
) -> None:
    (tmp_path / "slurm.conf").write_text("command sbatch --hold --job-name held\n")
    process = start_slurm_pl("--config", "slurm.conf", "a.log", "true")
    job = cluster.job_named("held", "PENDING")
    assert process.stderr is not None
    assert process.stderr.readline() == f"slurm.pl: job {job} waits: JobHeldUser\n"
    cluster.control("release", job)
    assert finish(process).returncode == 0


def test_a_preempted_job_runs_again_and_old_files_do_not_count(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start
) -> None:
    left = tmp_path / "a.log.q/0.status"
    left.parent.mkdir(parents=True)
    left.write_text("0\n")
    # All processors of both nodes. The first run ends well when it is told to end.
    command = f"if [ -e second ]; then echo again; else touch second; {PATIENT}; fi"
    process = start_slurm_pl(
        "--name", "preempted", "--num_threads", "8", "--num_nodes", "2",
        "a.log", "bash", "-c", command,
    )  # fmt: skip
    wait_for_line(tmp_path / "a.log", "ready")
    job = cluster.job_named("preempted")
    cluster.ask("sbatch", "-p", "high", "-o", "/dev/null", "--wrap", "sleep 1")
    wait_for_line(tmp_path / "a.log", "told")
    cluster.start_again(job)
    done = finish(process)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "a.log").read_text().splitlines()
    ends = [line for line in lines if line.startswith("# Ended")]
    assert len(ends) == 2 and ends[1].startswith("# Ended (code 0)")
    assert [line for line in body(tmp_path / "a.log") if line != "Terminated"] == [
        "ready", "told", "again"
    ]  # fmt: skip


def test_usr1_lets_a_command_save_its_state_and_run_again(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start
) -> None:
    saves = PATIENT.replace("told; exit 0' TERM", "saved; exit 1' USR1")
    command = f"if [ -e second ]; then echo again; else touch second; {saves}; fi"
    process = start_slurm_pl("--name", "saving", "a.log", "bash", "-c", command)
    wait_for_line(tmp_path / "a.log", "ready")
    job = cluster.job_named("saving")
    cluster.ask("scancel", "--batch", "--signal=USR1", job)
    wait_for_line(tmp_path / "a.log", "saved")
    cluster.start_again(job)
    done = finish(process)
    assert done.returncode == 0, done.stderr
    lines = body(tmp_path / "a.log")
    assert lines.index("saved") < lines.index("again")


def test_usr1_does_not_disturb_a_command_without_a_handler(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start
) -> None:
    command = "echo ready; while [ ! -e go ]; do sleep 0.1; done; echo finished"
    process = start_slurm_pl("--name", "deaf", "a.log", "bash", "-c", command)
    wait_for_line(tmp_path / "a.log", "ready")
    cluster.ask("scancel", "--batch", "--signal=USR1", "-n", "deaf")
    (tmp_path / "go").touch()
    assert finish(process).returncode == 0
    assert body(tmp_path / "a.log") == ["ready", "finished"]


def test_jobs_survive_a_restart_of_the_controller(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start
) -> None:
    command = "echo ready; while [ ! -e go ]; do sleep 0.1; done"
    running = start_slurm_pl("--name", "survivor", "a.log", "bash", "-c", command)
    wait_for_line(tmp_path / "a.log", "ready")
    cluster.wait_for_saved_state("survivor")
    cluster.kill_controller()
    submitted = start_slurm_pl("b.log", "echo", "late")  # has to wait for the controller
    assert running.stderr is not None
    assert "the controller does not answer" in running.stderr.readline()
    cluster.start_controller()
    (tmp_path / "go").touch()
    for process in (running, submitted):
        done = finish(process)
        assert done.returncode == 0, done.stderr
    assert body(tmp_path / "b.log") == ["late"]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_wrapper_cancels_its_jobs(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start, sign: signal.Signals
) -> None:
    process = start_slurm_pl("JOB=1:2", "JOB.log", "bash", "-c", PATIENT)
    for number in (1, 2):
        wait_for_line(tmp_path / f"{number}.log", "ready")
    process.send_signal(sign)
    assert_failed(finish(process), f"slurm.pl: cancelled by {sign.name}")
    wait_for(lambda: cluster.queue() == "", "an empty queue")
    assert "told" in body(tmp_path / "1.log")


def test_jobs_are_cancelled_when_the_controller_is_back(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start
) -> None:
    process = start_slurm_pl("--name", "doomed", "a.log", "bash", "-c", PATIENT)
    wait_for_line(tmp_path / "a.log", "ready")
    job = cluster.job_named("doomed")
    cluster.wait_for_saved_state("doomed")
    cluster.kill_controller()
    process.terminate()
    assert process.stderr is not None
    expected = f"slurm.pl: job {job} is cancelled as soon as the controller answers\n"
    while process.stderr.readline() != expected:  # it may first say that nobody answers
        assert process.poll() is None
    cluster.start_controller()
    assert_failed(finish(process), "slurm.pl: cancelled by SIGTERM")
    wait_for(lambda: cluster.queue() == "", "an empty queue")


def test_nohup_protects_from_a_hangup(tmp_path: Path, cluster: Cluster) -> None:
    command = "echo ready; while [ ! -e go ]; do sleep 0.1; done"
    words = ["nohup", *SLURM_PL, "a.log", "bash", "-c", command]
    process = subprocess.Popen(words, cwd=tmp_path, env=cluster.environment)
    wait_for_line(tmp_path / "a.log", "ready")
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    assert process.wait(timeout=240) == 0


def test_the_death_of_the_caller_cancels_the_job(tmp_path: Path, cluster: Cluster) -> None:
    script = '"$@" a.log sleep 600; true'
    caller = subprocess.Popen(
        ["bash", "-c", script, "caller", *SLURM_PL], cwd=tmp_path, env=cluster.environment
    )
    wait_for((tmp_path / "a.log").exists, "a.log")
    caller.kill()
    caller.wait()
    wait_for(lambda: cluster.queue() == "", "an empty queue")


def test_a_killed_wrapper_leaves_a_job_that_the_next_one_cancels(
    tmp_path: Path, cluster: Cluster, start_slurm_pl: Start, slurm_pl: Run
) -> None:
    killed = start_slurm_pl("--name", "left", "a.log", "bash", "-c", PATIENT)
    wait_for_line(tmp_path / "a.log", "ready")
    killed.kill()
    killed.wait()
    job = cluster.job_named("left")
    done = slurm_pl("a.log", "echo", "anew")
    assert done.returncode == 0
    assert done.stderr == f"slurm.pl: cancelling job {job}, which an earlier run left\n"
    assert body(tmp_path / "a.log") == ["anew"]
    assert cluster.queue() == ""


def test_gpus_are_given(tmp_path: Path, slurm_pl: Run) -> None:
    show = ["bash", "-c", "echo $CUDA_VISIBLE_DEVICES $SLURM_JOB_PARTITION"]
    assert slurm_pl("--gpu", "2", "a.log", *show).returncode == 0
    assert body(tmp_path / "a.log") == ["0,1 gpu"]


def test_max_jobs_run_limits_the_jobs_at_once(tmp_path: Path, slurm_pl: Run) -> None:
    count = "touch on.JOB; ls on.* | wc -l; sleep 0.3; rm on.JOB"
    arguments = ["--max-jobs-run", "1", "JOB=1:3", "JOB.log", "bash", "-c", count]
    assert slurm_pl(*arguments).returncode == 0
    assert [body(tmp_path / f"{n}.log") for n in (1, 2, 3)] == [["1"]] * 3


def test_arguments_arrive_unchanged_and_pipes_reach_bash(tmp_path: Path, slurm_pl: Run) -> None:
    words = ["a  b", "", "it's", '"q"', "$HOME", "*", "{a,b}", "x;y", "back\\slash", "é", "a|b"]
    show = ["python3", "-c", "import sys; print(sys.argv[1:])", *words]
    pipe = ["|", "tr", "a", "a", ">", "out.txt"]
    assert slurm_pl("a.log", *show, *pipe, LC_ALL="C.UTF-8").returncode == 0
    assert (tmp_path / "out.txt").read_text() == f"{words}\n"
    assert slurm_pl("a.log", "false", "|", "cat").returncode == 1


def test_tasks_get_their_processors_whatever_job_the_wrapper_runs_in(
    tmp_path: Path, slurm_pl: Run
) -> None:
    outer = {"SLURM_MEM_PER_CPU": "10", "SLURM_CPUS_PER_TASK": "2", "SLURM_NTASKS": "7"}
    show = ["bash", "-c", "echo $SLURM_PROCID of $SLURM_NTASKS: $SLURM_CPUS_PER_TASK $INHERITED"]
    options = ["--num_threads", "3", "--num_nodes", "2", "--mem", "1G"]
    done = slurm_pl(*options, "a.log", "srun", *show, INHERITED="yes", **outer)
    assert done.returncode == 0, done.stderr
    assert sorted(body(tmp_path / "a.log")) == ["0 of 2: 3 yes", "1 of 2: 3 yes"]


def test_threads_are_the_processors_asked_for(tmp_path: Path, slurm_pl: Run) -> None:
    show = ["bash", "-c", "echo $OMP_NUM_THREADS"]
    environment = {"OMP_NUM_THREADS": ""}  # as good as none
    assert slurm_pl("--num_threads", "3", "a.log", *show, **environment).returncode == 0
    assert body(tmp_path / "a.log") == ["3"]


def test_dry_run_prints_the_command_line_and_does_nothing(tmp_path: Path, slurm_pl: Run) -> None:
    done = slurm_pl("--dry_run", "true", "--mem", "1G", "JOB=1:4", "x/JOB.log", "true")
    assert done.returncode == 0
    assert done.stdout.startswith("sbatch --export=ALL ")
    assert " --partition cpu " in done.stdout and " --mem 1G " in done.stdout
    assert " --array=1-4 " in done.stdout
    assert list(tmp_path.iterdir()) == []
