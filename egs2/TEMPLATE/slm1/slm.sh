#!/usr/bin/env bash
# Train, decode and compare spoken language models, stage by stage. Called by the run.sh of a
# recipe, in the recipe's directory. --help lists stages and options; slm_engine.sh is the machinery.
set -euo pipefail

template=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# options
stage=data            # first stage to run
stop_stage=pack       # last stage to run
skip_train=false      # skip the stages stats, pretrain, train_sft and train_arms
dry_run=false         # print the commands, run nothing
force=false           # run the stages again even if their results hold; starts training anew
preset=mini           # settings: conf/PRESET/*.yaml and conf/PRESET/preset.sh
tag=                  # experiments go to EXP_DIR/PRESET_TAG, for a second run with other settings
exp_dir=exp           # where experiments go
data_root=            # directory with existing copies of the corpus
data_args=            # more options of local/data.sh
download_dir=downloads # where downloads and models go
mix_channels=true     # average the channels of a recording; false refuses several
resample=true         # convert other rates to 16 kHz; false refuses them
marks=                # file that says what marks in your transcripts are: "[door] remove" (docs/data.md)
full=false            # whole out-of-domain sets, and the zero-shot row of the encoder's own model
limit=60              # without --full: utterances of each out-of-domain set and language; 0: all
encoder=              # speech encoder by name, hub name or directory; empty: the preset's
augment_copies=       # augmented copies of each training utterance; empty: the preset's
llm=                  # LLM by name, hub name or directory, or "train"; empty: the preset's
hf_offline=false      # never ask the hub: models are directories, in its cache or of tools/fetch_model.py
accept_licence=false  # you have read and accept the terms of use of the models fetched
arms=                 # names of conf/PRESET/*.yaml to compare, such as "sft control otreg"; empty: the preset's
pretrainings=pretrain # names of conf/PRESET/pretrain*.yaml to compare; training goes on from the first
seeds=1               # every arm is trained with each of these
decode_modes="ctc llm joint" # ways of decoding
in_domain=core_sounds  # test sets (names in utt2domain) that are in-domain
floor_modes="llm_shuffled llm_no_speech" # more ways for the first arm: what the LLM guesses
decode_batch_size=32  # utterances decoded together
decode_nj=1           # processes of decoding; one uses all cores
decode_args=          # more options of slm_decode
num_splits=1          # parts in which training reads its set, one after another, if it is too large
pretrain_args=        # more options of the training command of pretrain
sft_args=             # ... of train_sft
arm_args=             # ... of train_arms
publish=false         # stage report also rewrites RESULTS.md and README.md of the repository
publish_methods=false # ... and all methods side by side, there and in docs/regularizers.md
nj=2                  # processes
models_at_once=1      # models (seeds, arms) that a stage works on at a time, each with its memory
ngpu=0                # GPUs on each machine
num_nodes=1           # machines
# end of options

stages=(data format features llm tokens stats pretrain train_sft train_arms
  decode score analyze report pack)

# shellcheck source=slm_engine.sh
. "${template}/slm_engine.sh"
# shellcheck source=slm_stages_data.sh
. "${template}/slm_stages_data.sh"
# shellcheck source=slm_stages_train.sh
. "${template}/slm_stages_train.sh"
# shellcheck source=slm_stages_results.sh
. "${template}/slm_stages_results.sh"
# shellcheck source=utils/parse_options.sh
# run.sh puts its own settings before "--" and the user's options after it.
settings=()
if [[ " $* " == *" -- "* ]]; then
  while [[ "$1" != -- ]]; do
    settings+=("$1")
    shift
  done
  shift
fi
run_command=$(command_to_go_on "$@")
set -- "${settings[@]}" "$@"
. "${template}/utils/parse_options.sh"
(($# == 0)) || die "$1: not an option" "--help lists the options"

# The recipe's own path.sh and cmd.sh, where it has them, come first.
# shellcheck source=path.sh
if [[ -f path.sh ]]; then . ./path.sh; else . "${template}/path.sh"; fi
# shellcheck source=cmd.sh
if [[ -f cmd.sh ]]; then . ./cmd.sh; else . "${template}/cmd.sh"; fi

for name in nj models_at_once decode_nj decode_batch_size num_splits num_nodes; do
  [[ "${!name}" =~ ^[1-9][0-9]*$ ]] || die "--${name} ${!name}: not a whole number" "use 1 or more"
done
for name in limit ngpu; do
  [[ "${!name}" =~ ^[0-9]+$ ]] || die "--${name} ${!name}: not a whole number" "use 0 or more"
done
first=$(stage_number "${stage}")
last=$(stage_number "${stop_stage}")
((first <= last)) || die "--stage ${stage} comes after --stop_stage ${stop_stage}" "swap them"
# shellcheck source=slm_layout.sh
. "${template}/slm_layout.sh"

if ! ${dry_run}; then
  command -v python >/dev/null || die "no python on the PATH" "run tools/install.sh"
  lock_directory "${exp}"
  trap on_exit EXIT
fi
# Other experiments of the recipe may run at the same time, but not in the stages they share.
shared_stages=$(stage_number features)
if ! ${dry_run} && ((first <= shared_stages)); then
  lock_directory dump
  shared_lock=${lock_fd}
fi
for ((number = first; number <= last; number++)); do
  if [[ -n "${shared_lock:-}" ]] && ((number > shared_stages)); then
    exec {shared_lock}>&-
    shared_lock=
  fi
  if ${skip_train} && [[ " stats pretrain train_sft train_arms " == *" ${stages[number - 1]} "* ]]; then
    log_line "stage ${number} ${stages[number - 1]}: skipped (--skip_train)"
  else
    run_stage "${number}"
  fi
done
print_results
