"""Fetch the public archives of a recipe: python -m espnet_otreg.bin.fetch_archives --help."""

from __future__ import annotations

import argparse
import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from espnet_otreg.data.archives import obtain
from espnet_otreg.data.sources import SOURCES, Source
from espnet_otreg.errors import run_main
from espnet_otreg.ranges import JOBS


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description="Fetch public archives without root (apt-get download, the publisher or a "
        "Debian mirror), or take existing copies; check the pinned sha256 of their content; "
        "print licences.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--download_dir", type=Path, required=True, help="where the files go")
    parser.add_argument(
        "--data_root", default="", help="directory with existing .deb files; nothing is fetched"
    )
    parser.add_argument(
        "--names", nargs="+", choices=sorted(SOURCES), default=sorted(SOURCES), metavar="NAME",
        help="which of: " + ", ".join(sorted(SOURCES)),
    )  # fmt: skip
    parser.add_argument("--nj", type=JOBS, default=2, help="archives at a time")
    return parser


def _obtain(source: Source, download_dir: Path, data_root: str) -> str:
    way = obtain(source, download_dir, data_root)
    return f"{source.name}: {way}\n  {source.licence}: {source.attribution}"


def main() -> None:
    """Fetch and print one paragraph for every archive."""
    arguments = get_parser().parse_args()
    fetch = functools.partial(
        _obtain, download_dir=arguments.download_dir, data_root=arguments.data_root
    )
    # The work is done by child processes (apt-get, dpkg-deb) and hashing: threads are enough.
    with ThreadPoolExecutor(arguments.nj) as threads:
        for line in threads.map(fetch, [SOURCES[name] for name in arguments.names]):
            print(line, flush=True)


if __name__ == "__main__":
    run_main(main)
