# shellcheck shell=bash disable=SC2034,SC2154
# Stages 7 to 10: training. Which trainings a stage has is said by the experiment.

# Measure the lengths of all training utterances, from which batches are made.
stage_stats() {
  local parts=${exp}/stats/parts kind config names args set name speech
  # --stated_only: the configuration of the trainings does not change the lengths.
  step "${exp}/stats" --stated_only "${llm_facts[@]}" --upstream "${exp}/tokens" \
    "${training}" "${features}/dev" --output "${exp}/stats"/{train,valid}/speech_shape
  for kind in train valid; do
    mapfile -t names < <(seq -f "${parts}/${kind}.%.0f.scp" "${nj}")
    [[ ${kind} == train ]] && set=${training} || set=${features}/dev
    run split_scp.pl "${set}/feats.scp" "${names[@]}"
  done
  IFS='|' read -r _ _ _ _ config _ <<<"$(trainings)"
  mapfile -t args < <(data_args "${training}" "${training}/text")
  launch train_cmd "${parts}/stats.JOB.log" "JOB=1:${nj}" \
    python -m espnet_otreg.bin.slm_train --config "${config}" "${args[@]}" \
    --collect_stats true --output_dir "${parts}/JOB" \
    --train_shape_file "${parts}/train.JOB.scp" --valid_shape_file "${parts}/valid.JOB.scp"
  mapfile -t names < <(seq -f "--input_dir=${parts}/%.0f" "${nj}")
  run python -m espnet2.bin.aggregate_stats_dirs "${names[@]}" --output_dir "${exp}/stats"
  split_training_set "${exp}/parts" "${training}/text"
  # What runs see of the training speech: ESPnet reads the utterances of the shape files.
  while IFS='|' read -r _ _ name speech; do
    step "${exp}/shapes/${name}" --upstream "${exp}/stats" "${training}" \
      --output "${exp}/shapes/${name}"/{speech,text}_shape
    run python -m espnet_otreg.bin.select_speech --speech "${speech}" --data_dir "${training}" \
      --shapes "${exp}/stats/train"/{speech,text}_shape --output "${exp}/shapes/${name}"
  done < <(grep '^setting|speech|' <<<"${plan}")
}

# With --num_splits, training reads the set in parts, one after another (multiple_iterator).
split_training_set() { # split_training_set DIR TEXT [STEP WHERE THE TEXT IS MADE]
  local set=${training}
  ((num_splits > 1)) || return 0
  step "$1" --stated_only --upstream "${exp}/stats" "${set}" "${@:3}" \
    --set "num_splits=${num_splits}" --output "$1/feats.scp/num_splits"
  run python -m espnet2.bin.split_scps --num_splits "${num_splits}" --output_dir "$1" --scps \
    "${set}/feats.scp" "$2" "${set}/utt2lang" "${exp}/stats/train"/{speech,text}_shape
  run cp "${set}"/{feats.json,utt2digest} "$1"
}

# Teach the projector the LLM's own embedding table with CTC; the LLM is not run.
stage_pretrain() {
  local unpaired=${exp}/unpaired
  if [[ "$(trainings)" == *"|unpaired|"* ]]; then
    step "${unpaired}" --input "${training}/text" --output "${unpaired}/text"
    launch train_cmd "${unpaired}/log/unpair_text.log" python -m espnet_otreg.bin.unpair_text \
      --data_dir "${training}" --output "${unpaired}/text"
    split_training_set "${unpaired}/parts" "${unpaired}/text" "${unpaired}"
  fi
  train_all pretrain --pretrain_args "${pretrain_args}"
}

# Train projector and LLM on transcripts, from the pretrained projector.
stage_train_sft() { train_all train_sft --sft_args "${sft_args}"; }

# Train on from the SFT model, once for each arm.
stage_train_arms() { train_all train_arms --arm_args "${arm_args}"; }

train_all() { # train_all STAGE NAME_OF_OPTION MORE_OPTIONS
  local seed dir config initial checkpoint pairs set text shapes parts made args kind name
  while IFS='|' read -r _ name seed dir config initial checkpoint pairs _; do
    set=${training} text=${training}/text shapes=${exp}/stats/train made=() args=()
    parts=${exp}/parts
    if [[ -n "$(setting "speech|${name}")" ]]; then
      shapes=${exp}/shapes/${name} made+=("${exp}/shapes/${name}")
    fi
    if [[ "${pairs}" == unpaired ]]; then
      text=${exp}/unpaired/text parts=${exp}/unpaired/parts made+=("${exp}/unpaired")
    fi
    if ((num_splits > 1)); then
      set=${parts} text=${parts}/text shapes=${parts} made+=("${parts}")
      args+=(--multiple_iterator true)
    fi
    if [[ -n "${initial}" ]]; then
      made+=("${initial%/*}")
      args+=(--init_param "${initial}")
    fi
    # Batches may be bounded by both lengths (batch_type length); the sorted ones use the first.
    for kind in speech text; do
      args+=(--valid_shape_file "${exp}/stats/valid/${kind}_shape"
        --train_shape_file "${shapes}/${kind}_shape")
    done
    mapfile -t -O "${#args[@]}" args < <(data_args "${set}" "${text}")
    model_step "${dir}" --training "${llm_facts[@]}" --upstream "${exp}"/{tokens,stats} \
      "${training}" "${features}/dev" "${made[@]}" ${initial:+--input "${initial}"} \
      --output "${dir}/config.yaml" "${dir}/${checkpoint}"
    launch_training "${dir}/train.log" python -m espnet_otreg.bin.slm_train \
      --config "${config}" "${args[@]}" --output_dir "${dir}" --seed "${seed}" --resume true
    options "${@:2}"
  done < <(trainings "$1")
}

# Options that say what is read, one word on a line.
data_args() { # data_args TRAINING_SET TRAINING_TEXT
  local data=data_path_and_name_and_type dev=${features}/dev
  printf '%s\n' "--train_${data}" "$1/feats.scp,speech,kaldi_ark" "--train_${data}" \
    "$2,text,text" "--train_${data}" "$1/utt2lang,language,text" "--valid_${data}" \
    "${dev}/feats.scp,speech,kaldi_ark" "--valid_${data}" "${dev}/text,text,text" \
    "--valid_${data}" "${dev}/utt2lang,language,text" --llm_conf "model=${llm_dir}" \
    --readout_conf "classes=${classes}" ${upper_half:+--encoder_conf "model=${encoder_dir}"}
}
