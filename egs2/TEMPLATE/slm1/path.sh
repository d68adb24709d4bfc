# shellcheck shell=bash disable=SC2034,SC2154
# The environment of every command of a recipe. ${template} is egs2/TEMPLATE/slm1.

otreg_root=$(cd "${template}/../../.." && pwd)
otreg_venv=${OTREG_VENV:-${otreg_root}/tools/venv}
if [[ -x "${otreg_venv}/bin/python" ]]; then # else whatever environment is active
  export PATH="${otreg_venv}/bin:${PATH}"
fi
export PATH="${template}/utils:${PATH}"
export PYTHONPATH="${otreg_root}${PYTHONPATH:+:${PYTHONPATH}}"
export PYTHONUTF8=1 LC_ALL=C.UTF-8 # transcripts are UTF-8 whatever the machine's language is
export TOKENIZERS_PARALLELISM=false
# The environment is installed without bytecode: unless Python may keep it, every command of the
# recipe compiles some two thousand modules again.
unset PYTHONDONTWRITEBYTECODE
