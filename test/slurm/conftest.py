"""A real Slurm cluster of two nodes for every test process, and slurm.pl on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_cluster import SLURM_PL, Cluster, finish


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    os.umask(0o022)  # what it writes must be readable, as munge demands
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def start_slurm_pl(
    cluster: Cluster, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """start_slurm_pl(WORD...) -> a process that runs in ``tmp_path`` and ends with the test."""
    started = []

    def start(*words: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*SLURM_PL, *words],
            cwd=tmp_path,
            env={**cluster.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate()


@pytest.fixture
def slurm_pl(
    start_slurm_pl: Callable[..., subprocess.Popen[str]],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """slurm_pl(WORD...) -> how it ended."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return finish(start_slurm_pl(*words, **environment))

    return run
