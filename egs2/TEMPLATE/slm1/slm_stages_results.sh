# shellcheck shell=bash disable=SC2034,SC2154
# Stages 10 to 14: decoding, scores, analysis, report, packing.

# Decode the development and test sets with every trained model, in every way asked for.
stage_decode() {
  local dir
  for dir in "${pretrain_dirs[@]}" "${model_dirs[@]}"; do
    decode_model "${dir}"
  done
  if ${full}; then
    decode_with_whisper
  fi
}

# Score all hypotheses: error rates per language and test set.
stage_score() {
  local dir mode
  for dir in "${pretrain_dirs[@]}" "${model_dirs[@]}"; do
    for mode in $(modes_of "${dir}"); do
      score_sets "${dir}/${mode}" "${decode_sets[@]}"
    done
  done
  if ${full}; then
    score_sets "${exp}/whisper/zero_shot" "${test_sets[@]}"
  fi
}

# Measure the modality gap and the retrieval of transcripts, and draw a transport plan.
stage_analyze() {
  local dir set facts sets audio
  for dir in "${model_dirs[@]}"; do
    facts=(--upstream "${dir}" --input "$(best_of "${dir}")") sets=() audio=()
    for set in "${test_sets[@]}"; do
      facts+=(--upstream "${features}/${set}")
      sets+=("${features}/${set}")
      audio+=("${raw}/${set}")
    done
    model_step "${dir}/analysis" "${facts[@]}" --output "${dir}/analysis/analysis.json" \
      -- launch_on_device decode_cmd "${dir}/log/analyze.log" \
      python -m espnet_otreg.bin.slm_analyze --model_dir "${dir}" \
      --checkpoint "$(checkpoint_name "${dir}")" --data_dir "${sets[@]}" \
      --output "${dir}/analysis/analysis.json" --plan_image "${dir}/analysis/plan.png" \
      --audio_dir "${audio[@]}" --in_domain "${in_domain_list[@]}"
  done
}

# Write the report: tables, verdicts and pictures from the scores and the analyses.
stage_report() {
  local facts=() args=() dir set files
  for dir in "${model_dirs[@]}"; do
    facts+=(--input "${dir}/analysis/analysis.json")
  done
  mapfile -t files < <(table_rows | sed -n 's/^.*=//p' | tr , '\n')
  facts+=("${files[@]/#/--input=}")
  for set in "${train_set}" "${valid_set}" "${test_sets[@]}"; do
    args+=("${raw}/${set}")
  done
  if [[ -f conf/split.json ]]; then
    args+=(--split_record conf/split.json)
  fi
  if [[ -f "${exp}/step_times.json" ]]; then
    facts+=(--input "${exp}/step_times.json")
  fi
  if ${publish}; then
    args+=(--results_md "${otreg_root}/RESULTS.md" --readme "${otreg_root}/README.md")
  fi
  if ${publish_methods}; then
    args+=(--methods_md "${otreg_root}/docs/regularizers.md"
      --methods_results_md "${otreg_root}/RESULTS.md")
  fi
  step "${exp}/report" "${facts[@]}" --output "${exp}/report/results.md" \
    --output "${exp}/report/table.txt" -- launch train_cmd "${exp}/report/log/report.log" \
    python -m espnet_otreg.bin.slm_report --exp "${exp}" --output "${exp}/report" \
    --command "${run_command}" --pretrainings "${pretraining_list[@]}" \
    --arms "${arm_list[@]}" --seeds "${seed_list[@]}" \
    --modes "${mode_list[@]}" --data_dir "${args[@]}"
}

# Pack every model with its prompt and its settings, to be used elsewhere.
stage_pack() {
  local dir
  for dir in "${model_dirs[@]}"; do
    model_step "${dir}/packed" --upstream "${dir}" --input "$(best_of "${dir}")" \
      --output "${dir}/packed/model/README.md" \
      -- launch train_cmd "${dir}/log/pack.log" \
      python -m espnet_otreg.bin.slm_pack --model_dir "${dir}" \
      --checkpoint "$(checkpoint_name "${dir}")" --output "${dir}/packed/model"
  done
}

# Ways of decoding a model. Without the LLM there is the CTC read-out only; the first arm also
# shows the floor: what the LLM says to the wrong speech and to none.
modes_of() { # modes_of MODEL_DIR
  if is_pretraining "$1"; then
    echo ctc
  elif [[ "${1##*/}" == "${arm_list[0]}"_s* && " ${decode_modes} " == *" llm "* ]]; then
    echo "${decode_modes} ${floor_modes}"
  else
    echo "${decode_modes}"
  fi
}

decode_model() { # decode_model MODEL_DIR
  local dir=$1 set mode modes facts=(--upstream "$1" --input "$(best_of "$1")") sets=() words
  read -ra modes <<<"$(modes_of "${dir}")"
  for set in "${decode_sets[@]}"; do
    sets+=("${features}/${set}")
    facts+=(--upstream "${features}/${set}")
    for mode in "${modes[@]}"; do
      facts+=(--output "${dir}/${mode}/${set}/text")
    done
  done
  words=(python -m espnet_otreg.bin.slm_decode --model_dir "${dir}" --output_dir "${dir}"
    --checkpoint "$(checkpoint_name "${dir}")"
    --modes "${modes[@]}" --data_dir "${sets[@]}" --joint_weight_dev "${features}/${valid_set}"
    --batch_size "${decode_batch_size}" "${decode_args_list[@]}")
  if ((decode_nj > 1)); then
    step "${dir}/decode" "${facts[@]}" -- decode_in_jobs "${dir}/decode/log" "${words[@]}"
  else
    model_step "${dir}/decode" "${facts[@]}" \
      -- launch_on_device decode_cmd "${dir}/decode/log/decode.log" "${words[@]}"
  fi
}

# decode_in_jobs LOG_DIR COMMAND...: in several processes, whose results are then joined.
decode_in_jobs() {
  launch_on_device decode_cmd "$1/decode.JOB.log" "JOB=1:${decode_nj}" "${@:2}" \
    --job JOB --num_jobs "${decode_nj}"
  launch_on_device decode_cmd "$1/decode.log" "${@:2}" --num_jobs "${decode_nj}"
}

decode_with_whisper() {
  local set dir
  for set in "${test_sets[@]}"; do
    dir=${exp}/whisper/zero_shot/${set}
    step "${dir}" --upstream "${raw}/${set}" --output "${dir}/text" \
      -- launch_on_device decode_cmd "${exp}/whisper/log/${set}.log" \
      python -m espnet_otreg.bin.whisper_baseline --data "${raw}/${set}" \
      --model "${encoder_dir}" --output "${dir}"
  done
}

# score_sets DIR SET...: of the hypotheses DIR/SET/text.
score_sets() {
  local dir=$1 set word facts=()
  for word in "${score_args_list[@]}"; do
    if [[ -f "${word}" ]]; then # equivalences: another content is another score
      facts+=(--input "${word}")
    fi
  done
  for set in "${@:2}"; do
    model_step "${dir}/${set}/scoring" --input "${raw}/${set}/text" --input "${dir}/${set}/text" \
      "${facts[@]}" --output "${dir}/${set}/scoring/score.json" \
      -- launch train_cmd "${dir}/log/score_${set}.log" \
      python -m espnet_otreg.bin.slm_score --reference_dir "${raw}/${set}" \
      --hypothesis "${dir}/${set}/text" --output "${dir}/${set}/scoring/score.json" \
      --normalizer otreg-basic-v2 --in_domain "${in_domain_list[@]}" "${score_args_list[@]}"
  done
}

# The end of a run: the report's table with its verdicts, or the scores alone if it stops before.
print_results() {
  local rows
  if ((last >= $(stage_number report))) && { ${dry_run} || [[ -f "${exp}/report/table.txt" ]]; }; then
    run cat "${exp}/report/table.txt"
  elif ((last >= $(stage_number score))); then
    mapfile -t rows < <(table_rows)
    run python -m espnet_otreg.bin.slm_table "${rows[@]}"
  fi
}

# One row for each arm and way of decoding, over all seeds: the words "--row" and
# "NAME=FILE,FILE...", one on a line.
table_rows() {
  local arm mode
  if ${full}; then
    printf '%s\n' --row "Whisper zero-shot=$(score_files "${exp}/whisper/zero_shot")"
  fi
  for mode in "${mode_list[@]}"; do
    for arm in "${pretraining_list[@]}" "${arm_list[@]}"; do
      if [[ "${mode}" == ctc || "${arm}" != pretrain* ]]; then
        printf '%s\n' --row "${arm}, ${mode}=$(arm_files "${arm}" "${mode}")"
      fi
    done
  done
}

arm_files() { # arm_files ARM MODE: the score files of all seeds, with commas
  local seed dirs=()
  for seed in "${seed_list[@]}"; do
    dirs+=("${exp}/$1_s${seed}/$2")
  done
  score_files "${dirs[@]}"
}

score_files() { # score_files DIR...: the score files of the test sets, with commas
  local set dir files=()
  for set in "${test_sets[@]}"; do
    for dir in "$@"; do
      files+=("${dir}/${set}/scoring/score.json")
    done
  done
  local IFS=,
  echo "${files[*]}"
}
