"""Run command lines in processes forked from one that has PyTorch and ESPnet in memory.

Importing them takes ten seconds and forgetting them at the end two, a fork takes none; all else is
as in ``python -m MODULE``. Reads a JSON list a line of what is to run at the same time: module,
arguments, stdout and stderr (files), max_file_bytes or null, fault (see faults.py) or null. Prints
the exit statuses.
"""

import atexit
import gc
import json
import os
import resource
import runpy
import sys
import tempfile
import traceback

import peft  # noqa: F401
from faults import prepare_fault
from transformers import AutoModelForCausalLM, LlamaConfig

import espnet_otreg.decoding.run  # noqa: F401
import espnet_otreg.slm.features  # noqa: F401
import espnet_otreg.slm.train_config  # noqa: F401
import espnet_otreg.tasks.slm  # noqa: F401
from espnet_otreg.slm.espnet_classes import espnet_class_names, espnet_option_names

espnet_class_names("encoder"), espnet_option_names()  # are remembered
with tempfile.TemporaryDirectory() as directory:
    # So are 900 patterns that Transformers compiles for the first model that it loads.
    tiny = LlamaConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    AutoModelForCausalLM.from_config(tiny).save_pretrained(directory)
    AutoModelForCausalLM.from_pretrained(directory)
gc.freeze()  # or every child would copy what its garbage collector looks at
print("ready", flush=True)


def start(job: dict) -> int:
    """Fork a process that runs a job; returns its id."""
    child = os.fork()
    if child:
        return child
    for number, path in ((0, os.devnull), (1, job["stdout"]), (2, job["stderr"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), number)
    sys.stdin = open(0)
    if job["max_file_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["max_file_bytes"],) * 2)
    if job["fault"]:
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


for line in sys.stdin:
    children = [start(job) for job in json.loads(line)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(*statuses, flush=True)
