# shellcheck shell=bash disable=SC2034,SC2154
# The machinery of slm.sh: stages, steps, logs. A stage is a function stage_NAME; a step is one
# directory of results with its own .done file (see espnet_otreg/recipe/ledger.py).

die() { # die WHAT HOW_TO_MEND_IT
  echo "error: $1; $2" >&2
  exit 1
}

log_line() {
  echo "$(date '+%H:%M:%S') $*"
}

# Print words so that they can be pasted into a shell.
print_command() {
  local word line=()
  for word in "$@"; do
    if [[ "${word}" =~ ^[A-Za-z0-9_./:=,@%+-]+$ || "${word}" == "|" ]]; then
      line+=("${word}")
    else
      line+=("${word@Q}")
    fi
  done
  echo "${line[*]}"
}

# The command line of the user without the options that belong to this run only.
command_to_go_on() {
  local words=("$([[ -x run.sh ]] && echo ./run.sh || echo "$0")")
  while (($#)); do
    case "$1" in
      --stage | --stop_stage | --stop-stage)
        shift
        ;;
      --force | --dry_run | --dry-run)
        [[ ! "${2:-}" =~ ^(true|false)$ ]] || shift
        ;;
      *)
        words+=("$1")
        ;;
    esac
    (($# == 0)) || shift
  done
  print_command "${words[@]}"
}

# run COMMAND...: what every command of every stage goes through.
run() {
  if ${dry_run}; then
    print_command "$@"
  elif ${become_command}; then
    exec "$@"
  else
    "$@"
  fi
}

# show_submission WRAPPER_WITH_ITS_ARGUMENTS...: with --dry_run, what slurm.pl would give to sbatch.
show_submission() {
  if ${dry_run} && [[ "$1" == slurm.pl ]]; then
    echo "# $(slurm.pl --dry_run true "${@:2}")"
  fi
}

# launch WRAPPER LOG [JOB=1:N] COMMAND...: WRAPPER names an array of cmd.sh.
launch() {
  local -n wrapper=$1
  local log=$2 words=("${wrapper[@]}")
  shift 2
  stage_logs+=("${log}")
  if [[ "$1" =~ ^JOB= ]]; then
    words+=("$1")
    shift
  fi
  words+=("${log}" "$@")
  run "${words[@]}"
  show_submission "${words[@]}"
}

# launch_on_device WRAPPER LOG [JOB=1:N] COMMAND...: COMMAND takes --device.
launch_on_device() {
  if ((ngpu > 0)); then
    local -n any_device=$1
    local on_gpu=("${any_device[@]}" --gpu 1)
    launch on_gpu "${@:2}" --device cuda
  else
    launch "$@"
  fi
}

# launch_training LOG COMMAND...: on one processor directly, on several through ESPnet.
launch_training() {
  local log=$1 resources=(--gpu "${ngpu}") words
  shift
  stage_logs+=("${log}")
  if ((num_nodes > 1)); then # as ESPnet's launcher asks for it
    resources+=(--num_threads $((ngpu > 1 ? ngpu : 1)) --num_nodes "${num_nodes}")
  fi
  words=("${cuda_cmd[@]}" "${resources[@]}" "${log}" "$@" --ngpu "${ngpu}")
  if ((ngpu > 1 || num_nodes > 1)); then
    run python -m espnet2.bin.launch --cmd "$(print_command "${cuda_cmd[@]}")" --log "${log}" \
      --ngpu "${ngpu}" --num_nodes "${num_nodes}" --init_file_prefix "$(dirname "${log}")/.init_" \
      -- "$@"
  else
    run "${words[@]}"
  fi
  show_submission "${words[@]}"
}

# begin_step DIR [--input F | --upstream DIR | --output F | --set KEY=VALUE | --training]...
# -- COMMAND...: print the record of the step unless DIR/.done says that its results still hold.
begin_step() {
  local directory=$1 facts=(--stage "${stage_name}")
  if ${dry_run}; then
    echo none # every step would run, and leave no record
    return
  fi
  shift
  while [[ "$1" != -- ]]; do
    facts+=("$1")
    shift
  done
  if ${force}; then
    facts+=(--force)
  fi
  python -m espnet_otreg.bin.stage begin "${directory}" "${facts[@]}" "$@"
}

# step (as begin_step): run COMMAND if it has to run.
step() {
  if_not_done run_step "$@"
}

# if_not_done HOW (as begin_step): call HOW DIR RECORD COMMAND... if COMMAND has to run.
if_not_done() {
  local how=$1 directory=$2 words=("${@:2}") record
  while [[ "$1" != -- ]]; do
    shift
  done
  shift
  record=$(begin_step "${words[@]}")
  if [[ -n "${record}" ]]; then
    stage_idle=false
    "${how}" "${directory}" "${record}" "$@"
  fi
}

run_step() { # run_step DIR RECORD COMMAND...
  local started=${SECONDS}
  "${@:3}"
  finish_step "$1" "${started}" "$2"
}

finish_step() { # finish_step DIR SECONDS_AT_ITS_START RECORD
  ${dry_run} || python -m espnet_otreg.bin.stage finish "$1" --seconds $((SECONDS - $2)) <<<"$3"
}

# Steps of a stage that do not wait for each other. Number N waits in the array waiting_N: where it
# goes, its record, its command. Of each that runs: its process, then what finish_step takes.
waiting=0 running=() beside_failed=false
become_command=false

# model_step (as step): a step of one model, whose COMMAND launches once. With --models_at_once it
# runs at the end of the stage, beside those of other models.
model_step() {
  if ((models_at_once == 1)) || ${dry_run}; then
    step "$@"
  else
    if_not_done let_step_wait "$@"
  fi
}

let_step_wait() { # let_step_wait DIR RECORD COMMAND...
  [[ "$3" == launch_training ]] && stage_logs+=("$4") || stage_logs+=("$5") # after WRAPPER
  local -n waits=waiting_$((++waiting))
  waits=("$@")
}

# Run the steps that wait. One that fails does not stop the others; the stage fails at the end.
run_model_steps() {
  local number at_once=$((waiting < models_at_once ? waiting : models_at_once)) threads=
  if ((at_once > 1)) && all_run_here && [[ -z "${OMP_NUM_THREADS:-}" ]]; then
    threads=$(($(nproc) / at_once))
  fi
  for ((number = 1; number <= waiting; number++)); do
    local -n next=waiting_${number}
    if ((${#running[@]} == 4 * at_once)); then
      finish_oldest
    fi
    # The wrapper takes the place of the subshell: it looks whether the process that has started
    # it, which is this one, still lives.
    (
      become_command=true
      if [[ -n "${threads}" ]]; then
        export OMP_NUM_THREADS=$((threads > 0 ? threads : 1))
      fi
      "${next[@]:2}"
    ) &
    running+=($! "${next[0]}" "${SECONDS}" "${next[1]}")
  done
  while ((${#running[@]} > 0)); do
    finish_oldest
  done
  waiting=0
  ! ${beside_failed} || exit 1 # the wrappers have said why
}

finish_oldest() {
  local process=${running[0]} step=("${running[@]:1:3}")
  running=("${running[@]:4}")
  if wait "${process}"; then
    finish_step "${step[@]}"
  else
    beside_failed=true
  fi
}

# Whether every command runs on this machine, so that those beside each other share its cores.
all_run_here() {
  [[ "${train_cmd[0]} ${cuda_cmd[0]} ${decode_cmd[0]}" == "run.pl run.pl run.pl" ]]
}

# Number of the stage that $1 names or numbers.
stage_number() {
  local index
  for index in "${!stages[@]}"; do
    if [[ "$1" == "${stages[index]}" || "$1" == $((index + 1)) ]]; then
      echo $((index + 1))
      return
    fi
  done
  die "$1: no such stage" "--help lists the stages"
}

run_stage() { # run_stage NUMBER
  local number=$1 started=${SECONDS} next="" logs
  stage_name=${stages[number - 1]} stage_logs=() stage_idle=true
  log_line "stage ${number} ${stage_name}"
  "stage_${stage_name}"
  run_model_steps
  if ((number < ${#stages[@]})); then
    next="; next: ${run_command} --stage ${stages[number]}"
  fi
  if ${dry_run}; then
    return
  elif ${stage_idle}; then
    log_line "stage ${number} ${stage_name}: up to date${next}"
  else
    logs=${stage_logs[*]:0:2}
    if ((${#stage_logs[@]} > 2)); then
      logs+=" and $((${#stage_logs[@]} - 2)) more"
    fi
    log_line "stage ${number} ${stage_name}: done in $((SECONDS - started)) s;" \
      "log: ${logs:-none}${next}"
  fi
}

# Stop what still runs, and the last words of a run that fails; wrappers and commands have said why.
on_exit() {
  local status=$? processes
  mapfile -t processes < <(jobs -p)
  if ((${#processes[@]} > 0)); then
    kill "${processes[@]}" 2>/dev/null || true
    wait
  fi
  if ((status != 0)) && [[ -n "${stage_name:-}" ]]; then
    echo "error: stage ${stage_name} failed; mend the above, then go on with:" \
      "${run_command} --stage ${stage_name}" >&2
  fi
}

# One run at a time in one directory; the lock is released by closing ${lock_fd}. The jobs of a run
# inherit the lock: after a kill -9 the next run waits until they have noticed and ended.
lock_directory() {
  local owner
  { mkdir -p "$1" && : >>"$1/.lock"; } 2>/dev/null ||
    die "$1: this directory cannot be written" "give yourself the permission or choose another one"
  exec {lock_fd}>>"$1/.lock"
  owner=$(<"$1/.lock")
  if ! flock --nonblock "${lock_fd}"; then
    if [[ -n "${owner}" && -d "/proc/${owner}" ]] || ! flock --timeout 20 "${lock_fd}"; then
      die "$1: another run (process ${owner:-unknown}) is working here" \
        "wait for it, stop it, or use another --tag"
    fi
  fi
  echo $$ >"$1/.lock"
}

# The stages with their comments, and the options with their defaults.
usage() {
  echo "Usage: ${run_command} [--OPTION VALUE]..."
  echo
  echo "Stages (--stage and --stop_stage take the number or the name):"
  local index
  for index in "${!stages[@]}"; do
    printf '  %2d %-11s %s\n' $((index + 1)) "${stages[index]}" "$(stage_comment "${stages[index]}")"
  done
  echo
  echo "Options [default]:"
  sed -n '/^# options$/,/^# end of options$/s/^\([a-z_0-9]*\)=\([^#]*[^# ]\)\{0,1\} *# \(.*\)$/\1|\2|\3/p' \
    "${template}/slm.sh" | while IFS='|' read -r name value text; do
    value=${value#[\"\']}
    printf '  --%-19s %s [%s]\n' "${name}" "${text}" "${!name:-${value%[\"\']}}"
  done
}

# The comment lines just above the function stage_$1.
stage_comment() {
  awk -v wanted="stage_$1() {" '
    $0 == wanted { print text; exit }
    /^# / { text = text (text == "" ? "" : " ") substr($0, 3); next }
    { text = "" }' "${template}"/slm_stages_*.sh
}
