# shellcheck shell=bash disable=SC2034,SC2154
# Where everything of a run lies. Options that were left empty get the preset's values here.

conf=conf/${preset}
if [[ ! -f "${conf}/preset.sh" ]]; then
  die "--preset ${preset}: there is no ${conf}/preset.sh" "choose one of: $(cd conf && echo */)"
fi
# shellcheck source=/dev/null
. "${conf}/preset.sh"
read -ra arm_list <<<"${arms}"
read -ra pretraining_list <<<"${pretrainings}"
read -ra seed_list <<<"${seeds}"
read -ra mode_list <<<"${decode_modes}"
read -ra in_domain_list <<<"${in_domain}"

# Mistakes that would otherwise show after an hour of training.
for arm in "${arm_list[@]}"; do
  [[ -f "${conf}/${arm}.yaml" ]] || die "--arms ${arm}: there is no ${conf}/${arm}.yaml" "write it"
done
for name in "${pretraining_list[@]}"; do
  if [[ "${name}" != pretrain* || ! -f "${conf}/${name}.yaml" ]]; then
    die "--pretrainings ${name}: there is no pretraining ${conf}/${name}.yaml" \
      "name a file that begins with pretrain"
  fi
done
if ! [[ "${augment_copies}" =~ ^[0-9]+$ ]]; then
  die "--augment_copies ${augment_copies}: not a whole number" "use 0 or more"
fi
for seed in "${seed_list[@]}"; do
  [[ "${seed}" =~ ^[0-9]+$ ]] || die "--seeds ${seed}: not a whole number" "use 0 or more"
done
for mode in "${mode_list[@]}"; do
  [[ " ctc llm joint sample llm_shuffled llm_no_speech " == *" ${mode} "* ]] ||
    die "--decode_modes ${mode}: no such way of decoding" "choose among ctc, llm and joint"
done
if [[ -n "${marks}" && ! -f "${marks}" ]]; then
  die "--marks ${marks}: no such file" "check the path"
fi
for name in encoder llm data_root; do
  # One slash may also be a name of the hub.
  if [[ ! -d "${!name}" && ("${!name}" =~ ^[./] || "${!name}" == */*/*) ]]; then
    die "--${name} ${!name}: no such directory" "check the path"
  fi
done
read -ra decode_args_list <<<"${decode_args}"

raw=dump/raw
features=dump/features/$(basename "${encoder}")
exp=${exp_dir}/${preset}${tag:+_${tag}}
train_set=train
valid_set=dev
test_sets=(test ood)
if ${full}; then
  limit=0
fi

if ${hf_offline}; then
  export HF_HUB_OFFLINE=1
fi
encoder_dir=$(model_dir "${encoder}")
if [[ "${llm}" == train ]]; then
  llm_dir=${exp}/llm
else
  llm_dir=$(model_dir "${llm}")
fi
classes=${exp}/tokens/classes.json

# What the training steps are made from.
llm_facts=(--set "llm=${llm}")
if [[ "${llm}" == train ]]; then
  llm_facts+=(--upstream "${llm_dir}")
elif [[ "${llm_dir}" != "${llm}" ]]; then
  llm_facts+=(--upstream "${download_dir}/done/${llm}")
fi
training_facts=(--training "${llm_facts[@]}" --upstream "${exp}/tokens" --upstream "${exp}/stats"
  --upstream "${features}/${train_set}" --upstream "${features}/${valid_set}")

# What is decoded with what.
decode_sets=("${valid_set}" "${test_sets[@]}")
pretrain_dirs=() model_dirs=()
for seed in "${seed_list[@]}"; do
  for name in "${pretraining_list[@]}"; do
    pretrain_dirs+=("${exp}/${name}_s${seed}")
  done
  for arm in "${arm_list[@]}"; do
    model_dirs+=("${exp}/${arm}_s${seed}")
  done
done
