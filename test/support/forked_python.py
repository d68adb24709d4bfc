"""Stands for ``python`` on the PATH of a recipe: lets fork_server.py run our commands.

A recipe starts some twenty processes that import PyTorch and ESPnet. For the process that asked it
is all the same: the command has its standard streams, directory and environment, gets its signals,
dies with it, and its exit status is passed on. Everything else is run by the real Python, also what
starts other programs, which have to belong to the process group of the recipe.
"""

import json
import os
import signal
import socket
import sys

PYTHON = "{python}"
SERVER = "{server}"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
           signal.SIGUSR2)  # fmt: skip

STARTERS = ("espnet_otreg.bin.stage", "espnet2.bin.launch")

words = sys.argv[1:]
is_ours = words[:1] == ["-m"] and words[1].startswith(("espnet_otreg.bin.", "espnet2.bin."))
if not is_ours or words[1] in STARTERS:
    os.execv(PYTHON, [PYTHON, *words])
job = {
    "module": words[1],
    "arguments": words[2:],
    "directory": os.getcwd(),
    "environment": dict(os.environ),
    "ignored": [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_IGN],
}
signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect(SERVER)
    socket.send_fds(server, [json.dumps(job).encode()], [0, 1, 2])
    child = int(server.recv(64))
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    status = int(server.recv(64))
if status < 0:
    if -status in SIGNALS:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
