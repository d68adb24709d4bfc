"""Kill the synthesis of thousands of sentences at random moments, and compare its files.

Numbers in words are read aloud once undisturbed, then once more with kills (-9) and starts anew.

Exit status 1 unless both leave the same files.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from num2words import num2words

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from espnet_otreg.files import sha256_file  # noqa: E402

LANGUAGES = ("en", "fr")


def write_inputs(place: Path, sentences: int) -> None:
    """A corpus of numbers, and settings by which Pico and eSpeak read all of it."""
    readers = [{"engine": "pico"}, {"engine": "espeak", "variants": ["f2", "m3"]}]
    share = sentences // len(LANGUAGES)
    settings = {"languages": {code: {"sentences": share, "readers": readers} for code in LANGUAGES}}
    (place / "synthesis.yaml").write_text(yaml.safe_dump(settings))
    (place / "text").mkdir()
    for code in LANGUAGES:
        lines = [num2words(number, lang=code).replace("-", " ") for number in range(share)]
        (place / f"text/{code}.txt").write_text("\n".join(lines))


def command(place: Path, output: str, jobs: int) -> list[str]:
    """The command line of one run."""
    words = [sys.executable, "-m", "espnet_otreg.bin.synthesize", "--nj", str(jobs)]
    words += ["--config", f"{place}/synthesis.yaml", "--corpus", f"{place}/text"]
    return [*words, "--output", f"{place}/{output}"]


def content(directory: Path) -> dict[str, str]:
    """Digests of all that a run leaves, but paths in wav.scp."""
    return {
        str(path.relative_to(directory)): sha256_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in (".lock", "wav.scp")
    }


def main() -> int:
    """Run, kill, run again, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--nj", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="otreg-synthesis-") as scratch:
        place = Path(scratch)
        write_inputs(place, args.sentences)
        start = time.monotonic()
        subprocess.run(command(place, "whole", args.nj), check=True, cwd=ROOT)
        seconds = time.monotonic() - start
        for kill in range(args.kills):
            process = subprocess.Popen(
                command(place, "killed", args.nj),
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            moment = draw.uniform(0.2, 1.0) * seconds / (args.kills + 1)
            try:
                process.wait(moment)
                print(f"kill {kill + 1}: the run had ended before", flush=True)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                made = len(list(place.glob("killed/wavs/*/*.wav")))
                print(f"kill {kill + 1}: after {moment:.0f} s, {made} files", flush=True)
        subprocess.run(command(place, "killed", args.nj), check=True, cwd=ROOT)
        whole, killed = content(place / "whole"), content(place / "killed")
        print(f"{len(whole)} files, {'the same' if whole == killed else 'NOT THE SAME'}")
        return int(whole != killed)


if __name__ == "__main__":
    sys.exit(main())
