"""Run command lines in processes forked from one that has PyTorch and ESPnet in memory.

Importing them takes ten seconds, a fork takes none; all else is as in ``python -m MODULE``. Reads
one JSON object a line: module, arguments, stdout and stderr (files), max_file_bytes or null.
Prints the exit status of each.
"""

import json
import os
import resource
import runpy
import sys

import espnet_otreg.slm.features  # noqa: F401
import espnet_otreg.tasks.slm  # noqa: F401
from espnet_otreg.slm.espnet_classes import espnet_class_names, espnet_option_names

espnet_class_names("encoder"), espnet_option_names()  # are remembered
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, path in ((0, os.devnull), (1, job["stdout"]), (2, job["stderr"])):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), number)
        sys.stdin = open(0)
        if job["max_file_bytes"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (job["max_file_bytes"],) * 2)
        sys.argv = [job["module"], *job["arguments"]]
        runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
