"""A training as ESPnet runs it with several GPUs, one process for each, on processors instead."""

import argparse
import sys

from espnet_otreg.errors import run_main
from espnet_otreg.tasks.slm import SLMTask


class OnProcessors(SLMTask):
    """Takes the GPU away from every process once it is started."""

    @classmethod
    def _work(cls, args: argparse.Namespace) -> None:
        args.ngpu, args.dist_backend = 0, "gloo"
        super()._work(args)


if __name__ == "__main__":
    words = [*sys.argv[1:], "--multiprocessing_distributed", "true"]
    run_main(lambda: OnProcessors.main(cmd=words))
