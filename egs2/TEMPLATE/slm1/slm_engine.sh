# shellcheck shell=bash disable=SC2034,SC2154
# The words in which stage functions declare what they do. Each prints a record; what the records
# mean is told, and done, by espnet_otreg/recipe: steps.py, runner.py, ledger.py.

die() { echo "error: $1; $2" >&2 && exit 1; } # die WHAT HOW_TO_MEND_IT

record() { printf '%s\0' "$#" "$@"; }

# step DIR [--input F... | --input_if_there F... | --recordings DIR... | --upstream DIR... |
#   --output F... | --shards DIR | --lock DIR | --set KEY=VALUE | --training | --stated_only]...:
#   one directory of results of the commands that follow; they may follow several steps.
# model_step (as step): after the others of its stage, with --models_at_once beside each other.
# launch WRAPPER LOG [JOB=1:N] COMMAND...: WRAPPER is an array of cmd.sh.
# launch_on_device (as launch): COMMAND takes --device, which --ngpu decides.
# launch_training LOG COMMAND...: on one processor directly, on several through ESPnet.
# run COMMAND...: here, no log; its messages are shown if it fails.
# options NAME TEXT: more words for the command above, shell-quoted.
step() { record step "$@"; }
model_step() { record model_step "$@"; }
launch() { record launch "$@"; }
launch_on_device() { record launch_on_device "$@"; }
launch_training() { record launch_training "$@"; }
run() { record run "$@"; }
options() { record options "$@"; }

# Everything from stage ${first} to ${last}.
declare_stages() {
  local number name
  record planning "${planning[@]}"
  record wrapper train_cmd "${train_cmd[@]}"
  record wrapper cuda_cmd "${cuda_cmd[@]}"
  record wrapper decode_cmd "${decode_cmd[@]}"
  for ((number = first; number <= last; number++)); do
    name=${stages[number - 1]}
    if ${skip_train} && [[ " stats ${training_stages[*]} " == *" ${name} "* ]]; then
      record skipped "${number}" "${name}"
    else
      record stage "${number}" "${name}"
      ((number != first || first <= 2)) || [[ ! -f "${raw}/test/text" ]] || check_in_domain
      "stage_${name}"
    fi
  done
  record results
  show_results
  record end
}

# Do what declare_stages says, in this very process, so that it hears the signals to this one.
run_stages() {
  exec python -m espnet_otreg.bin.stage run --exp "${exp}" --times "${conf}/times.json" \
    --shared "${shared[@]}" --stages "${stages[@]}" --go_on "${run_command}" --ngpu "${ngpu}" \
    --models_at_once "${models_at_once}" --num_nodes "${num_nodes}" --force "${force}" "${dry[@]}" \
    < <(declare_stages)
}

# The command line of the user without the options that belong to this run only.
command_to_go_on() {
  local word line
  [[ -x run.sh ]] && line=./run.sh || line=$0
  while (($#)); do
    case "$1" in
      --stage | --stop[_-]stage) shift ;;
      --force | --dry[_-]run) [[ ! "${2:-}" =~ ^(true|false)$ ]] || shift ;;
      *) [[ "$1" =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] && line+=" $1" || line+=" ${1@Q}" ;;
    esac
    (($# == 0)) || shift
  done
  echo "${line}"
}

# Number of the stage that $1 names or numbers.
stage_number() {
  local number
  for ((number = 1; number <= ${#stages[@]}; number++)); do
    [[ "$1" != "${stages[number - 1]}" && "$1" != "${number}" ]] || break
  done
  ((number <= ${#stages[@]})) || die "$1: no such stage" "--help lists the stages"
  echo "${number}"
}

# The stages with the comments above their functions, and the options with their defaults.
usage() {
  local index name text
  echo "Usage: ${run_command%% *} [--OPTION VALUE]..."
  printf '\nStages (--stage and --stop_stage take the number or the name):\n'
  for index in "${!stages[@]}"; do
    text=$(awk -v wanted="stage_${stages[index]}() {" '
      index($0, wanted) == 1 { print text; exit }
      /^# / { text = text (text == "" ? "" : " ") substr($0, 3); next }
      { text = "" }' "${template}"/slm_stages_*.sh)
    printf '  %2d %-11s %s\n' $((index + 1)) "${stages[index]}" "${text}"
  done
  printf '\nOptions [default]:\n'
  sed -n '/^# options$/,/^# end of options$/s/^\([a-z_0-9]*\)=[^#]*# /\1|/p' "${template}/slm.sh" |
    while IFS='|' read -r name text; do
      printf '  --%-19s %s [%s]\n' "${name}" "${text}" "${!name}"
    done
}
