"""Train and decode for a long time and watch memory and open files.

A training and a decoding of tiny models run in turn, each for half of the time. After a fifth of it
a process has loaded what it needs: from then on its memory may grow by less than 1 % and the number
of its open files not at all. Prints a table; exit status 1 if either grows.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test/support")]

from bad_input import ForkServer  # noqa: E402
from tiny_slm import train_tiny_slm  # noqa: E402
from tiny_training import make_tiny_training  # noqa: E402

WARM_UP = 0.2  # share of the time
ALLOWED_GROWTH = 0.01
COPIES = 20_000  # of each utterance that is decoded: more than there is time for


@dataclass(frozen=True)
class Sample:
    """Resident memory in MiB and open files of a process."""

    memory: float
    files: int


def sample(process: int) -> Sample:
    """What a process holds now."""
    status = Path(f"/proc/{process}/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
    return Sample(int(kilobytes) / 1024, len(os.listdir(f"/proc/{process}/fd")))


def watch(words: list[str], seconds: float) -> list[Sample]:
    """Run a command for that time, then ask it to stop; two hundred samples."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, env=environment, stdout=quiet, stderr=quiet) as process:
        samples = []
        for _ in range(200):
            time.sleep(seconds / 200)
            if process.poll() is not None:
                sys.exit(f"ended with status {process.returncode}: {' '.join(words)}")
            samples.append(sample(process.pid))
        process.send_signal(signal.SIGTERM)
    return samples


def repeat_utterances(directory: Path) -> None:
    """List every utterance many times, under other names, with a duration."""
    for name in ("feats.scp", "text", "utt2lang", "utt2spk", "utt2domain"):
        rows = [line.split(" ", 1) for line in (directory / name).read_text().splitlines()]
        lines = [f"{key}_{n:05d} {value}\n" for key, value in rows for n in range(COPIES)]
        (directory / name).write_text("".join(lines))
    keys = [line.split()[0] for line in (directory / "text").read_text().splitlines()]
    (directory / "utt2dur").write_text("".join(f"{key} 1.0\n" for key in keys))


def is_flat(root: Path, minutes: float) -> bool:
    """Watch both processes and print the table; whether neither grows."""
    server = ForkServer(root / "fork_server")
    training = make_tiny_training(root / "training", server)
    config = {"num_iters_per_epoch": 100, "keep_nbest_models": 1}
    train = training.command(root / "train", "--max_epoch", "1000000", config=config)
    model = train_tiny_slm(root / "decoding", steps=20)
    repeat_utterances(root / "decoding/features")
    decode = [
        sys.executable, "-m", "espnet_otreg.bin.slm_decode", "--model_dir", str(model),
        "--data_dir", str(root / "decoding/features"), "--output_dir", str(root / "decode"),
        "--modes", "llm", "ctc", "--batch_size", "4",
    ]  # fmt: skip
    print(
        "| process | memory after warm-up | memory at the end | growth | open files | at the end |"
    )
    print("|---|---|---|---|---|---|")
    flat = True
    for name, words in (("training", train), ("decoding", decode)):
        samples = watch(words, 30 * minutes)[round(200 * WARM_UP) :]
        tenth = len(samples) // 10
        start, end = samples[:tenth], samples[-tenth:]
        memory = [mean(s.memory for s in part) for part in (start, end)]
        files = [max(s.files for s in part) for part in (start, end)]
        growth = memory[1] / memory[0] - 1
        flat &= growth < ALLOWED_GROWTH and files[1] <= files[0]
        print(f"| {name} | {memory[0]:.1f} MiB | {memory[1]:.1f} MiB | {100 * growth:.2f} % | "
              f"{files[0]} | {files[1]} |", flush=True)  # fmt: skip
    return flat


def main() -> None:
    """Watch a training and a decoding for a while."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak.") as root:
        sys.exit(not is_flat(Path(root), args.minutes))


if __name__ == "__main__":
    main()
