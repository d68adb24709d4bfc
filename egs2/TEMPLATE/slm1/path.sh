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
# Training takes and returns megabytes for every tensor. Large pages, kept by the process, are not
# asked for again each time; other systems than Linux with glibc ignore this.
keep=glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-${keep}:glibc.malloc.top_pad=67108864}
# The environment is installed without bytecode: unless Python may keep it, every command of the
# recipe compiles some two thousand modules again.
unset PYTHONDONTWRITEBYTECODE
