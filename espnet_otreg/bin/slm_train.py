"""Train a spoken language model; options are ESPnet's and those of the YAML file."""

from __future__ import annotations

import sys

from espnet_otreg.errors import run_main


def main() -> None:
    """``slm_train --config conf/train.yaml --output_dir exp/x ...``."""
    arguments = sys.argv[1:]
    if arguments in ([], ["-h"], ["--help"]):
        print(
            "usage: slm_train --config FILE --output_dir DIR [ESPnet training options]\n\n"
            f"{__doc__}\n\n"
            "  --check        only check the configuration, then stop\n"
            "  --overwrite true  train anew where there is a training; without it the same\n"
            "                 command goes on, and another configuration is refused\n"
            "  --help_all     all options (imports ESPnet, takes several seconds)\n"
            "  --print_config print every option with its default"
        )
        return
    if not {"--help_all", "--print_config"} & set(arguments):
        from espnet_otreg.tasks.train_config import check_train_arguments

        # Before ESPnet is loaded, which takes several seconds.
        check_train_arguments(arguments, data="--check" not in arguments)
    if "--check" in arguments:
        print("the configuration is in order")
        return
    from espnet_otreg.tasks.startup import quick_start

    with quick_start():
        from espnet_otreg.tasks.slm import SLMTask
    SLMTask.main(cmd=["--help" if argument == "--help_all" else argument for argument in arguments])


if __name__ == "__main__":
    run_main(main)
