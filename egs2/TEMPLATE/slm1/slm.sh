#!/usr/bin/env bash
# Train, decode and compare spoken language models, stage by stage. Called by the run.sh of a
# recipe, in the recipe's directory. --help lists stages and options.
# shellcheck disable=SC1090,SC1091,SC2034
set -euo pipefail

template=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# options
stage=data            # first stage to run
stop_stage=pack       # last stage to run
skip_train=false      # skip the stages stats, pretrain, train_sft and train_arms
dry_run=false         # print the commands, run nothing
force=false           # run the stages again even if their results hold; starts training anew
preset=mini           # settings: conf/PRESET/experiment.yaml and what it names
tag=                  # experiments go to EXP_DIR/PRESET_TAG, for a second run with other settings
exp_dir=exp           # where experiments go
data_root=            # directory with existing copies of the corpus
data_args=            # more options of local/data.sh
download_dir=downloads # where downloads and models go
mix_channels=true     # average the channels of a recording; false refuses several
resample=true         # convert other rates to 16 kHz; false refuses them
skip_unreadable=false # leave out and list training utterances whose recordings cannot be read
text_corpus=          # directory with LANGUAGE.txt: text to read aloud and for "--llm train"
synthesis=            # speech to make from text: conf/PRESET/synthesis.yaml; empty: the preset's
marks=                # file on the marks in your transcripts: "[door] remove" (docs/data.md)
full=false            # whole out-of-domain sets, and the zero-shot row of the encoder's own model
train_limit=0         # utterances of each training corpus and language; 0: all
limit=60              # without --full: utterances of each out-of-domain set and language; 0: all
encoder=              # speech encoder by name, hub name or directory; empty: the preset's
augment_copies=       # augmented copies of each training utterance; empty: the preset's
llm=                  # LLM by name, hub name or directory, or "train"; empty: the preset's
hf_offline=false      # never ask the hub: models are local or known to tools/fetch_model.py
accept_licence=false  # you have read and accept the terms of use of the models fetched
arms=                 # runs to compare, such as "sft control otreg"; empty: the preset's
pretrainings=         # pretrainings to compare; empty: the preset's
seeds=1               # every run is trained with each of these
decode_modes=         # ways of decoding, such as "ctc llm joint"; empty: the preset's
in_domain=core_sounds  # test sets (names in utt2domain) that are in-domain
beside=               # ... that stand beside the out-of-domain sets, in no mean of theirs
floor_modes=preset    # more ways for the first arm: what the LLM guesses; empty: none
decode_batch_size=32  # utterances decoded together
decode_nj=1           # processes of decoding; one uses all cores
decode_args=          # more options of slm_decode
score_args=           # more options of slm_score, such as "--equivalences own.yaml"
num_splits=1          # parts in which training reads its set, one after another, if it is too large
pretrain_args=        # more options of the training command of pretrain
sft_args=             # ... of train_sft
arm_args=             # ... of train_arms
publish=false         # stage report also rewrites RESULTS.md, README.md and results/ of the repo
publish_methods=false # ... and all methods side by side, there and in docs/regularizers.md
nj=2                  # processes
models_at_once=1      # models (seeds, arms) that a stage works on at a time, each with its memory
ngpu=0                # GPUs on each machine
num_nodes=1           # machines
# end of options

training_stages=(pretrain train_sft train_arms)
stages=(data format synthesis features llm tokens stats "${training_stages[@]}" decode score analyze
  report pack)

for part in engine stages_data stages_train stages_results; do . "${template}/slm_${part}.sh"; done

# run.sh puts its own settings before "--" and the user's options after it.
[[ " $* " != *" -- "* ]] || . "${template}/utils/parse_options.sh"
run_command=$(command_to_go_on "$@")
. "${template}/utils/parse_options.sh"
(($# == 0)) || die "$1: not an option" "--help lists the options"

# The recipe's own path.sh and cmd.sh, where it has them, come first.
for file in path.sh cmd.sh; do
  if [[ -f "${file}" ]]; then . "./${file}"; else . "${template}/${file}"; fi
done

for name in nj models_at_once decode_nj decode_batch_size num_splits num_nodes; do
  [[ "${!name}" =~ ^[1-9][0-9]*$ ]] || die "--${name} ${!name}: not a whole number" "use 1 or more"
done
for name in limit train_limit ngpu augment_copies; do
  [[ "${!name:-0}" =~ ^[0-9]+$ ]] || die "--${name} ${!name}: not a whole number" "use 0 or more"
done
first=$(stage_number "${stage}")
last=$(stage_number "${stop_stage}")
((first <= last)) || die "--stage ${stage} comes after --stop_stage ${stop_stage}" "swap them"
command -v python >/dev/null || die "no python on the PATH" "run tools/install.sh"
! ${dry_run} && dry=() || dry=(--dry_run)
. "${template}/slm_layout.sh"
run_stages
