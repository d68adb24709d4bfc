"""Give every option of every command a value that nobody means, and see how the command ends."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hostile import NO_NUMBERS, WORDS, is_on_purpose, is_sentence

from espnet_otreg.errors import UserError, sentence_for

# Command -> a command line that works in the small world of conftest.py; {out} is a fresh place.
COMMANDS = {
    "collect_text": "--languages en --download_dir {out} --data_root {w}/audio --output {out}/t",
    "combine_features": "--input {w}/slm/features --output {out}/f",
    "extract_features": "--data {w}/own --output {out}/f --model {w}/whisper --nj 1 "
    "--num_jobs 1 --device cpu --dtype float32 --batch_seconds 0 --trailing_silence 0.5 "
    "--augment_copies 1 --augment_config {w}/augment.yaml --seed 0",
    "fetch_archives": "--download_dir {out} --data_root {w}/audio --names drascula --nj 1",
    "format_data": "--data_dir {w}/own --output_dir {out}/d --limit 0 --min_duration 0.1 "
    "--max_duration 30 --nj 1",
    "prepare_corpus": "--corpus librispeech --language en --corpus_dir {w}/audio "
    "--output_dir {out}/d --subset dev-clean --nj 1",
    "prepare_sets": "--train librispeech:dev-clean --dev librispeech:dev-clean "
    "--test librispeech:dev-clean --ood librispeech:dev-clean --languages en "
    "--data_root {w}/audio --download_dir {out}/l --output_dir {out}/d --train_limit 0 --nj 1",
    "search_log": "--run {w}/slm/exp --name tried --note n --planned 1 --output {out}/search",
    "select_speech": '--speech {{"real_share":1.0}} --data_dir {w}/slm/features '
    "--shapes {w}/slm/features/utt2dur --output {out}/shapes",
    "slm_analyze": "--model_dir {w}/slm/exp --checkpoint valid.loss.best.pth "
    "--data_dir {w}/slm/features --output {out}/analysis.json --in_domain tiny "
    "--plan_image {out}/plan.png --plan_utterance en_tiny_a_00 --device cpu",
    "slm_compare": "a={w}/exp/own/control_s1/llm/test/scoring/score.json "
    "b={w}/exp/own/otreg_s1/llm/test/scoring/score.json --format text",
    "slm_decode": "--model_dir {w}/slm/exp --data_dir {w}/slm/features --output_dir {out}/o "
    "--modes joint --checkpoint valid.loss.best.pth --device cpu --batch_size 32 --num_beams 1 "
    "--num_samples 0 --temperature 1 --seed 0 --ctc_beam 2 --num_candidates 2 "
    "--tokens_per_second 1 --extra_tokens 1 --prior_weight 0 --length_bonus 0 --num_jobs 1",
    "slm_pack": "--model_dir {w}/slm/exp --output {out}/m --checkpoint valid.loss.best.pth",
    "slm_report": "--exp {w}/exp/own --output {out}/r --data_dir {w}/dev {w}/test {w}/ood "
    "--command c --title t",
    "slm_score": "--reference_dir {w}/own --hypothesis {w}/own/text --output {out}/score.json "
    "--normalizer otreg-basic-v1 --in_domain own",
    "slm_table": "--row a={w}/exp/own/control_s1/llm/test/scoring/score.json --format text",
    "slm_transcribe": "{w}/audio/en_a.wav --model_dir {w}/waveform --language it --mode ctc "
    "--device cpu",
    "split_data": "--in_domain {w}/prepared --out_of_domain {w}/far --output_dir {out}/d "
    "--record {out}/split.json",
    "synthesize": "--config {w}/synthesis.yaml --corpus {w}/corpus --exclude {w}/dev "
    "--output {out}/spoken --nj 1",
    "token_classes": "--text {w}/own/text --llm {w}/slm/llm --output {out}/classes.json",
    "train_ngram": "--data_dir {w}/own --corpus {w}/corpus --order 3 --output {out}/ngram",
    "train_text_llm": "--data_dir {w}/own --corpus {w}/corpus --config {w}/llm.yaml "
    "--output {out}/llm --seed 0",
    "unpair_text": "--data_dir {w}/own --output {out}/text",
    "validate_data": "{w}/own --check_audio --show 20 --max_duration 30",
    "whisper_baseline": "--data {w}/own --output {out}/b --model {w}/whisper --batch_size 8 "
    "--device cpu",
}
# Audited by tests of their own.
ELSEWHERE = {"experiment", "slm_train", "stage"}


def parser_of(command: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser
    parser = importlib.import_module(f"espnet_otreg.bin.{command}").get_parser()
    return parser


def with_value(words: list[str], action: argparse.Action, value: str) -> list[str]:
    """The command line with another value of one option or positional argument."""
    options = [word for word in words if word in action.option_strings]
    if not action.option_strings:
        return [value, *words[1:]] if not words[0].startswith("-") else [value, *words]
    if not options:
        return [*words, f"{action.option_strings[0]}={value}"]
    start = words.index(options[0])
    end = start + 1
    while end < len(words) and not words[end].startswith("--"):
        end += 1
    return [*words[:start], f"{options[0]}={value}", *words[end:]]


@contextlib.contextmanager
def command_line(command: str, words: list[str]) -> Iterator[io.StringIO]:
    """``sys.argv`` of a command; what it prints goes nowhere, its errors into the buffer."""
    before, errors = sys.argv, io.StringIO()
    sys.argv = [command, *words]
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            yield errors
    finally:
        sys.argv = before


def ending(command: str, words: list[str]) -> tuple[str, str]:
    """("result" | "sentence" | "crash", what it said)."""
    main: Callable[[], None] = importlib.import_module(f"espnet_otreg.bin.{command}").main
    with command_line(command, words) as errors:
        try:
            main()
        except SystemExit as error:
            last = (errors.getvalue().strip().splitlines() or [""])[-1]
            if error.code in (0, None):
                return "result", ""
            return ("sentence" if error.code == 1 or "error: " in last else "crash"), last
        except (UserError, OSError) as error:
            said = sentence_for(error)
            return ("sentence" if is_sentence(said) else "crash"), said
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            good = is_on_purpose(error, error.__traceback__) and is_sentence(str(error))
            return ("sentence" if good else "crash"), said
    return "result", ""


def faults_of(
    command: str, world: Path, place: Path, words: Callable[[bool], Sequence[str]]
) -> list[str]:
    """What is wrong with the ends of a command, each of whose options was given other words.

    Args:
        command: its name.
        world: see small_world.py.
        place: the working directory, in which results may be written.
        words: keys of :data:`hostile.WORDS` for options that are (True) or are no numbers.
    """
    precious = place / "precious"
    precious.write_text("what the directory held before")
    faults = []
    for action in parser_of(command)._actions:
        if action.nargs == 0:
            continue
        is_number = action.type not in (None, str, Path)
        for name in words(is_number):
            if action.dest == "data_root" and name == "empty":
                continue  # which means to fetch everything
            out = place / f"{action.dest}.{name}"
            line = COMMANDS[command].format(w=world, out=out).split()
            kind, said = ending(command, with_value(line, action, WORDS[name]))
            where = f"{'/'.join(action.option_strings) or action.dest} {name}"
            if kind == "crash":
                faults.append(f"{where}: {said[:200]}")
            elif is_number and name in NO_NUMBERS and kind == "result":
                faults.append(f"{where}: accepted")
            elif is_number and name in NO_NUMBERS and not names(action, said):
                faults.append(f"{where}: the sentence does not name the option: {said[:200]}")
            if not precious.exists():
                faults.append(f"{where}: the working directory was emptied")
                place.mkdir(exist_ok=True)
                precious.write_text("again")
    return faults


def names(action: argparse.Action, said: str) -> bool:
    """Whether a sentence names an option, with underscores or blanks between its words."""
    plain = said.replace("-", "_").replace(" ", "_").lower()
    return action.dest in plain or action.dest.replace("num_", "") in plain
