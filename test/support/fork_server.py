"""Run command lines in processes forked from one that has PyTorch and ESPnet in memory.

Importing them takes ten seconds and forgetting them at the end two, a fork takes none; all else is
as in ``python -m MODULE``. Arguments: a socket, and the process with which this one ends. At the
socket arrive, one in a message, a JSON object and three standard streams. The object has module
and arguments; it may have max_file_bytes, fault (see faults.py), and what forked_python.py adds:
directory, environment and ignored signals. The answers are the id and the status of the process.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Sequence

import matplotlib.pyplot  # noqa: F401
import peft  # noqa: F401
from faults import prepare_fault
from transformers import AutoModelForCausalLM, LlamaConfig

import espnet_otreg
from espnet_otreg.slm.espnet_classes import espnet_class_names, espnet_option_names

for found in pkgutil.walk_packages(espnet_otreg.__path__, "espnet_otreg."):
    if ".bin." not in found.name:  # runpy wants to be the first to load those
        with contextlib.suppress(ImportError):  # of Triton, or of a synthesiser's library
            importlib.import_module(found.name)
espnet_class_names("encoder"), espnet_option_names()  # are remembered
with tempfile.TemporaryDirectory() as directory:
    # So are 900 patterns that Transformers compiles for the first model that it loads.
    tiny = LlamaConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    AutoModelForCausalLM.from_config(tiny).save_pretrained(directory)
    AutoModelForCausalLM.from_pretrained(directory)
gc.freeze()  # or every child would copy what its garbage collector looks at


def start(job: dict, streams: Sequence[int]) -> int:
    """Fork a process that runs a job on three standard streams, which are closed here."""
    child = os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        return child
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.stdin = open(0)
    for number in job.get("ignored", ()):
        signal.signal(number, signal.SIG_IGN)
    if "directory" in job:
        os.chdir(job["directory"])
        os.environ.clear()
        os.environ.update({**job["environment"], "CUDA_VISIBLE_DEVICES": ""})
    if job.get("max_file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["max_file_bytes"],) * 2)
    if job.get("fault"):
        prepare_fault(**job["fault"])
    sys.argv = [job["module"], *job["arguments"]]
    status = 0
    try:
        runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def accept(_: object) -> None:
    """Start what was asked for; whoever asked is told the id of the process and how it ended."""
    connection, _ = listener.accept()
    message, streams, _, _ = socket.recv_fds(connection, 1 << 18, 3)
    child = start(json.loads(message), streams)
    connection.send(str(child).encode())
    ending = os.pidfd_open(child)

    def finish(_: object) -> None:
        """The process has ended, or has to end with whoever asked for it."""
        selector.unregister(connection)
        selector.unregister(ending)
        signal.pidfd_send_signal(ending, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            connection.send(str(status).encode())
        connection.close()
        os.close(ending)

    selector.register(connection, selectors.EVENT_READ, finish)
    selector.register(ending, selectors.EVENT_READ, finish)


place, until = sys.argv[1:]
selector = selectors.DefaultSelector()
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
    listener.bind(place)
    listener.listen()
    selector.register(listener, selectors.EVENT_READ, accept)
    selector.register(os.pidfd_open(int(until)), selectors.EVENT_READ, sys.exit)
    print("ready", flush=True)
    while True:
        (key, _), *_ = selector.select()  # one at a time: it may end another one that is ready
        key.data(None)
