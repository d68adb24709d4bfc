#!/usr/bin/env python3
"""Why is a transcript of mode joint wrong: was the right one not found, or scored below another?

    cd egs2/mini_multi/slm1
    ../../../tools/search_errors.py --model_dir exp/mini/otreg_s1 --data_dir dump/features/X/test

A model decodes a set from its features with the weights that its development set chose. The
references are scored like candidates. Where a transcript has errors, either the reference has a
better score and was not found (a search error: a wider beam may help), or its score is worse (a
scoring error: other weights or a better model may help). "oracle" is the error rate if the best
candidate of each utterance were chosen. A reference that the LLM has no positions for counts as a
scoring error.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from espnet_otreg.data.kaldi_dir import read_table
from espnet_otreg.decoding.candidates import score_candidates
from espnet_otreg.decoding.data import DataSet, Speech, make_batches, read_data_set
from espnet_otreg.decoding.encoded import EncodedSpeech
from espnet_otreg.decoding.hypothesis import Candidate
from espnet_otreg.decoding.joint import JointWeights, candidate_errors
from espnet_otreg.decoding.joint_weights import find_joint_weights
from espnet_otreg.decoding.modes import Joint, configure_modes
from espnet_otreg.decoding.recognizer import Recognizer
from espnet_otreg.decoding.run import load_speech
from espnet_otreg.errors import run_main
from espnet_otreg.slm.build import load_model
from espnet_otreg.slm.trained_languages import read_trained_languages


@torch.inference_mode()
def candidates_of(
    recognizer: Recognizer, joint: Joint, batch: Sequence[Speech], references: Mapping[str, str]
) -> tuple[list[list[Candidate]], list[Candidate | None]]:
    """What mode joint finds in a batch, and the references as candidates."""
    encoded = EncodedSpeech(recognizer, [load_speech(batch, True)])
    found = joint.run(recognizer, encoded)
    maps, prefix = recognizer.maps, encoded.prefixes[0]
    texts = [references[u.key] for u in batch]
    ids = [maps.canonical(text) for text in texts]
    rooms = prefix.rooms() or [len(tokens) for tokens in ids]
    fits = [n for n, room in enumerate(rooms) if len(ids[n]) <= room]
    heard = encoded.embeddings[0].lengths.tolist()
    scored = score_candidates(
        prefix.select(fits),
        recognizer.silence([batch[n].language for n in fits]),
        maps,
        recognizer.model.prompt.eos_id,
        [encoded.log_probs[0][n][: heard[n]] for n in fits],
        [{texts[n]: {ids[n]}} for n in fits],
        [[] for _ in fits],
    )
    own: list[Candidate | None] = [None] * len(batch)
    for n, [candidate] in zip(fits, scored, strict=True):
        own[n] = candidate
    return found, own


def table(recognizer: Recognizer, joint: Joint, data: DataSet, batch_size: int) -> str:
    """One line for each language."""
    references = read_table(data.directory / "text")
    lines = [
        "| language | utterances | error rate | oracle | search errors | scoring errors |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for language in sorted({u.language for u in data.utterances}):
        own = [u for u in data.utterances if u.language == language]
        found: dict[str, list[Candidate]] = {}
        better = {}
        for batch in make_batches(own, batch_size):
            rows = zip(batch, *candidates_of(recognizer, joint, batch, references), strict=True)
            for u, several, reference in rows:
                score = joint.weights.score
                found[u.key] = sorted(several, key=lambda c: (-score(c), c.text))
                best = score(found[u.key][0])
                better[u.key] = reference is not None and score(reference) > best
        errors, lengths = candidate_errors(found, references, dict.fromkeys(found, language))
        words = sum(lengths.values())
        wrong = [key for key, several in errors.items() if several[0]]
        missed = sum(better[key] for key in wrong)
        sums = sum(e[0] for e in errors.values()), sum(min(e) for e in errors.values())
        rates = " | ".join(f"{100 * n / max(words, 1):.1f}" for n in sums)
        lines.append(f"| {language} | {len(own)} | {rates} | {missed} | {len(wrong) - missed} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model_dir", type=Path, required=True, help="a trained model")
    parser.add_argument("--data_dir", type=Path, required=True, help="its features, with text")
    parser.add_argument("--joint_beam", type=int, default=Joint.joint_beam)
    parser.add_argument("--joint_margin", type=float, default=Joint.joint_margin)
    parser.add_argument("--batch_size", type=int, default=16)
    arguments = parser.parse_args()
    data = read_data_set(arguments.data_dir, True, read_trained_languages(arguments.model_dir))
    weights = find_joint_weights(arguments.model_dir) or (JointWeights(), Joint().search_weights)
    options = {"joint_beam": arguments.joint_beam, "joint_margin": arguments.joint_margin}
    joint = configure_modes(["joint"], {**Joint.as_options(*weights), **options})["joint"]
    assert isinstance(joint, Joint)
    model = load_model(arguments.model_dir)
    model.llm.merge_adapter()
    print(f"chosen by {weights[0]}, searched with {weights[1]}")
    print(table(Recognizer(model), joint, data, arguments.batch_size))


if __name__ == "__main__":
    run_main(main)
