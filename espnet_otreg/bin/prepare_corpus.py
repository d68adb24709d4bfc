"""Make the data directory of one corpus: python -m espnet_otreg.bin.prepare_corpus --help."""

from __future__ import annotations

import argparse
from pathlib import Path

from espnet_otreg.errors import UserError, run_main
from espnet_otreg.ranges import JOBS


def get_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    from espnet_otreg.data.corpora import CORPORA, published_corpora

    parser = argparse.ArgumentParser(
        description="Make the Kaldi data directory of one corpus in one language, with "
        "prep_log.json: what was kept, mended and dropped, and why.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    published = published_corpora()
    names = sorted([*CORPORA, *published])
    parser.add_argument("--corpus", choices=names, required=True, help="its name")
    parser.add_argument("--language", required=True, help="code or name")
    parser.add_argument("--corpus_dir", type=Path, required=True, help="the publisher's files")
    parser.add_argument("--output_dir", type=Path, required=True, help="is replaced as a whole")
    parser.add_argument(
        "--subset", help=f"the publisher's set, of {', '.join(sorted(published))}; others have none"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FILE",
        help="ids of the utterances to keep, one on a line; others are logged as unconfirmed",
    )  # fmt: skip
    parser.add_argument("--nj", type=JOBS, default=2, help="files looked at at a time")
    return parser


def main() -> None:
    """Prepare and print the number of utterances."""
    arguments = get_parser().parse_args()
    from espnet_otreg.data.corpora import CORPORA, published_corpora
    from espnet_otreg.data.keep import keep_listed
    from espnet_otreg.data.languages import canonical_language

    language = canonical_language(arguments.language)
    places = (arguments.corpus_dir, arguments.output_dir, language)
    published = published_corpora().get(arguments.corpus)
    if (published is None) != (arguments.subset is None):
        raise UserError(
            f"--corpus {arguments.corpus} {'has no' if published is None else 'needs a'} subset",
            "--subset",
            f"give one of: {', '.join(published.subsets)}" if published else "leave it out",
        )
    if published:
        log = published.prepare(*places, arguments.subset, arguments.nj)
    else:
        log = CORPORA[arguments.corpus](*places)
    if arguments.keep:
        keep_listed(arguments.output_dir, arguments.keep, log)
    print(f"{arguments.output_dir}: {log.kept} utterances, {log.seconds:.1f} s")


if __name__ == "__main__":
    run_main(main)
