# shellcheck shell=bash disable=SC2034,SC2154
# Stages 6 to 9: training. Every training run is one directory, ${exp}/NAME_s${seed}.

# Measure the lengths of all training utterances, from which batches are made.
stage_stats() {
  step "${exp}/stats" --upstream "${exp}/tokens" "${llm_facts[@]}" \
    --upstream "${features}/${train_set}" --upstream "${features}/${valid_set}" \
    --output "${exp}/stats/train/speech_shape" --output "${exp}/stats/valid/speech_shape" \
    -- collect_stats
  split_training_set "${exp}/parts" "${features}/${train_set}/text"
}

collect_stats() {
  local parts=${exp}/stats/parts set kind job names args dirs=()
  for kind in train valid; do
    [[ "${kind}" == train ]] && set=${train_set} || set=${valid_set}
    names=()
    for ((job = 1; job <= nj; job++)); do
      names+=("${parts}/${kind}.${job}.scp")
    done
    run mkdir -p "${parts}"
    run split_scp.pl "${features}/${set}/feats.scp" "${names[@]}"
  done
  mapfile -t args < <(data_args "${features}/${train_set}" "${features}/${train_set}/text")
  launch train_cmd "${parts}/stats.JOB.log" "JOB=1:${nj}" \
    python -m espnet_otreg.bin.slm_train --config "${conf}/${pretraining_list[0]}.yaml" "${args[@]}" \
    --collect_stats true --output_dir "${parts}/JOB" \
    --train_shape_file "${parts}/train.JOB.scp" --valid_shape_file "${parts}/valid.JOB.scp"
  for ((job = 1; job <= nj; job++)); do
    dirs+=(--input_dir "${parts}/${job}")
  done
  run python -m espnet2.bin.aggregate_stats_dirs "${dirs[@]}" --output_dir "${exp}/stats"
}

# With --num_splits, training reads the set in parts, one after another (ESPnet's multiple_iterator).
split_training_set() { # split_training_set DIR TEXT [OPTIONS OF step]
  ((num_splits > 1)) || return 0
  step "$1" --upstream "${exp}/stats" --upstream "${features}/${train_set}" "${@:3}" \
    --set "num_splits=${num_splits}" --output "$1/feats.scp/num_splits" -- write_parts "$1" "$2"
}

write_parts() { # write_parts DIR TEXT
  local shapes=${exp}/stats/train set=${features}/${train_set}
  run python -m espnet2.bin.split_scps --num_splits "${num_splits}" --output_dir "$1" --scps \
    "${set}/feats.scp" "$2" "${set}/utt2lang" "${shapes}/speech_shape" "${shapes}/text_shape"
  run cp "${set}/feats.json" "$1"
}

# Teach the projector the LLM's own embedding table with CTC; the LLM is not run.
stage_pretrain() {
  local seed name
  for name in "${pretraining_list[@]}"; do
    if [[ "${name}" == *_unpaired ]]; then
      step "${exp}/unpaired" --input "${features}/${train_set}/text" --output "${exp}/unpaired/text" \
        -- launch train_cmd "${exp}/unpaired/log/unpair_text.log" \
        python -m espnet_otreg.bin.unpair_text --data_dir "${features}/${train_set}" \
        --output "${exp}/unpaired/text"
      split_training_set "${exp}/unpaired/parts" "${exp}/unpaired/text" --upstream "${exp}/unpaired"
    fi
    for seed in "${seed_list[@]}"; do
      train "${name}" "${seed}" "" "${pretrain_args}"
    done
  done
}

# Train projector and LLM on transcripts, from the pretrained projector; arms named sft_* are other
# ways of doing so, which differ in how the speech is compressed for the LLM.
stage_train_sft() {
  local seed arm names=(sft)
  for arm in "${arm_list[@]}"; do
    [[ "${arm}" == sft_* ]] || continue
    run python -m espnet_otreg.bin.stage compare "${conf}/sft.yaml" "${conf}/${arm}.yaml" \
      --but compression_conf
    names+=("${arm}")
  done
  for arm in "${names[@]}"; do
    for seed in "${seed_list[@]}"; do
      train "${arm}" "${seed}" "$(best_of "${exp}/${pretraining_list[0]}_s${seed}")" "${sft_args}"
    done
  done
}

# Train on from the SFT model, once per arm; the arms differ in their regularizers only.
stage_train_arms() {
  local seed arm
  for arm in "${arm_list[@]}"; do
    [[ "${arm}" != sft && "${arm}" != sft_* ]] || continue
    if [[ "${arm}" != control ]]; then
      run python -m espnet_otreg.bin.stage compare "${conf}/control.yaml" "${conf}/${arm}.yaml" \
        --but regularizers
    fi
    for seed in "${seed_list[@]}"; do
      train "${arm}" "${seed}" "$(best_of "${exp}/sft_s${seed}")" "${arm_args}"
    done
  done
}

# Whether a training run is one of stage 7, in which the LLM takes no part.
is_pretraining() { # is_pretraining MODEL_DIR
  [[ "${1##*/}" == pretrain*_s* ]] # the directory above may be that of preset pretrained
}

# The checkpoint that is used: the one the development set chose, and the last of pretraining,
# whose loss on that set stops falling long before its error rate does.
checkpoint_name() { # checkpoint_name MODEL_DIR
  if is_pretraining "$1"; then
    echo latest.pth
  else
    echo valid.loss.best.pth
  fi
}

best_of() { # best_of MODEL_DIR
  echo "$1/$(checkpoint_name "$1")"
}

# train NAME SEED INITIAL_CHECKPOINT MORE_OPTIONS: conf/PRESET/NAME.yaml to ${exp}/NAME_s${seed}.
train() {
  local name=$1 seed=$2 initial=$3 dir=${exp}/$1_s$2
  local facts=("${training_facts[@]}" --output "${dir}/config.yaml" --output "$(best_of "${dir}")")
  local args more kind set=${features}/${train_set} shapes=${exp}/stats/train parts=${exp}/parts
  local text=${set}/text
  if [[ "${name}" == *_unpaired ]]; then
    text=${exp}/unpaired/text parts=${exp}/unpaired/parts
    facts+=(--upstream "${exp}/unpaired")
  fi
  read -ra more <<<"$4"
  if ((num_splits > 1)); then
    facts+=(--upstream "${parts}")
    set=${parts} text=${parts}/text shapes=${parts}
    more+=(--multiple_iterator true)
  fi
  mapfile -t args < <(data_args "${set}" "${text}")
  # Batches may be bounded by both lengths (batch_type length); the sorted ones use the first.
  for kind in speech text; do
    args+=(--valid_shape_file "${exp}/stats/valid/${kind}_shape")
    args+=(--train_shape_file "${shapes}/${kind}_shape")
  done
  if [[ -n "${initial}" ]]; then
    facts+=(--upstream "$(dirname "${initial}")" --input "${initial}")
    args+=(--init_param "${initial}")
  fi
  model_step "${dir}" "${facts[@]}" -- launch_training "${dir}/train.log" \
    python -m espnet_otreg.bin.slm_train --config "${conf}/${name}.yaml" "${args[@]}" \
    --output_dir "${dir}" --seed "${seed}" --resume true "${more[@]}"
}

# Options that say what is read, one word on a line.
data_args() { # data_args TRAINING_SET TRAINING_TEXT
  local kind set text
  for kind in train valid; do
    set=${features}/${valid_set} text=${features}/${valid_set}/text
    if [[ "${kind}" == train ]]; then
      set=$1 text=$2
    fi
    printf '%s\n' "--${kind}_data_path_and_name_and_type" "${set}/feats.scp,speech,kaldi_ark" \
      "--${kind}_data_path_and_name_and_type" "${text},text,text" \
      "--${kind}_data_path_and_name_and_type" "${set}/utt2lang,language,text"
  done
  printf '%s\n' --llm_conf "model=${llm_dir}" --readout_conf "classes=${classes}"
}
