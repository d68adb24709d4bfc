"""A Slurm cluster of two nodes on this machine: munge, a controller and two node daemons.

They need root, and listen on the loopback address only. The nodes have more processors and memory
than the machine, so that what a job asks for never decides how fast a test is.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[2] / "egs2/TEMPLATE/slm1"
SLURM_PL = [f"{TEMPLATE}/utils/slurm.pl", "--config", f"{TEMPLATE}/conf/slurm.conf"]
NODES = ("n1", "n2")
CONFIG = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={root}/munge/socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool.%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MinJobAge=300
DefMemPerCPU=4000
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} {size}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} {size}
PartitionName=cpu Nodes=n1,n2 Default=YES MaxTime=60
PartitionName=gpu Nodes=n1,n2 MaxTime=60
PartitionName=high Nodes=n1,n2 MaxTime=60 PriorityTier=10 PreemptMode=OFF
"""
SIZE = "CPUs=8 RealMemory=80000 Gres=gpu:2"


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait until ``condition`` holds; ``seconds`` are for machines that are very slow."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address on which nobody listens."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a slurm.pl; the limit is for machines that are very slow."""
    stdout, stderr = process.communicate(timeout=240)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


class Cluster:
    """The daemons of one cluster, each a child of this process, and questions to them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "SLURM_CONF": str(root / "slurm.conf")}

    def __enter__(self) -> Cluster:
        self._write_files()
        self._start_munge()
        self.start_controller("-c", "-i")
        for node in NODES:
            # The nodes' names have an address in a name space of the daemon's own only.
            run = f"mount --bind {self.root}/hosts /etc/hosts; exec slurmd -D -c -N {node}"
            self._start(node, "unshare", "-m", "bash", "-c", run)
        words = ("sinfo", "-h", "-N", "-p", "cpu", "-t", "idle", "-o", "%N")
        wait_for(lambda: self.ask(*words).split() == list(NODES), "idle nodes")
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel the jobs first, because they outlive the daemons of the nodes."""
        subprocess.run(["scancel", "-u", "root"], env=self.environment)
        wait_for(lambda: self.queue() == "", "an empty queue")
        for process in reversed(list(self.processes.values())):
            process.terminate()
            process.wait(timeout=60)

    def _write_files(self) -> None:
        host = socket.gethostname().split(".")[0]
        for name in ("state", "munge", "dev"):
            (self.root / name).mkdir(mode=0o755)
        for number in range(2):
            # Character devices: Slurm sets CUDA_VISIBLE_DEVICES for nothing else.
            os.mknod(self.root / f"dev/nvidia{number}", 0o20666, os.makedev(1, 3))
        hosts = Path("/etc/hosts").read_text() + "\n127.0.0.1 n1 n2\n"
        (self.root / "hosts").write_text(hosts)
        settings = CONFIG.format(host=host, ports=free_ports(3), root=self.root, size=SIZE)
        (self.root / "slurm.conf").write_text(settings)
        devices = f"AutoDetect=off\nNodeName=n1,n2 Name=gpu File={self.root}/dev/nvidia[0-1]\n"
        (self.root / "gres.conf").write_text(devices)

    def _start_munge(self) -> None:
        directory = self.root / "munge"
        (directory / "key").touch(mode=0o600)
        (directory / "key").write_bytes(os.urandom(1024))
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
        options = [f"--{option}={directory / name}" for option, name in files.items()]
        # The directories of temporary files above are open to everyone, which munge dislikes.
        self._start("munged", "munged", "--foreground", "--force", *options)
        wait_for((directory / "socket").exists, "munged")

    def _start(self, name: str, *words: str) -> None:
        with open(self.root / f"{name}.output", "ab") as output:
            self.processes[name] = subprocess.Popen(
                # They end with this process, however it ends.
                ["setpriv", "--pdeathsig", "TERM", *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def start_controller(self, *options: str) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", "slurmctld", "-D", *options)
        wait_for(lambda: "UP" in self.ask("scontrol", "ping"), "slurmctld")

    def wait_for_saved_state(self, name: str) -> None:
        """slurmctld saves some seconds after a change; a kill before that loses the latest jobs."""
        state, now = self.root / "state/job_state", time.time()
        job = self.ask("squeue", "-h", "-n", name, "-o", "%A").strip()
        # What there was may be saved already: this is a change that is not.
        self.ask("scontrol", "update", f"jobid={job}", "comment=saved")
        wait_for(lambda: state.exists() and state.stat().st_mtime > now, "a saved state")

    def kill_controller(self) -> None:
        """End slurmctld without a farewell."""
        self.processes["slurmctld"].kill()
        self.processes["slurmctld"].wait()

    def ask(self, *words: str) -> str:
        """The standard output of a command of Slurm."""
        run = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return run.stdout

    def queue(self, *options: str) -> str:
        """What squeue says of jobs that wait or run."""
        return self.ask("squeue", "-h", "-r", *options)

    def job_named(self, name: str, state: str = "RUNNING") -> str:
        """Wait for a job or array of that name and state, and return its id."""
        options = ("-n", name, "-t", state, "-o", "%F")
        wait_for(lambda: self.queue(*options) != "", f"job {name} in state {state}")
        return self.queue(*options).split()[0]

    def control(self, *words: str) -> None:
        """scontrol, which must succeed."""
        subprocess.run(["scontrol", *words], env=self.environment, check=True)

    def start_again(self, job: str) -> None:
        """Let a requeued job start now; Slurm would let it wait for two minutes."""
        options = ("-j", job, "-t", "PENDING", "-o", "%A")
        wait_for(lambda: self.queue(*options) != "", f"job {job} to be pending")
        time.sleep(2)  # until the second is over to which the end of the first run belongs
        self.control("update", f"jobid={job}", "StartTime=now")
