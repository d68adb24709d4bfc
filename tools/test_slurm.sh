#!/usr/bin/env bash
# Run the tests that need a cluster on a real Slurm of two nodes on this machine, which they start
# and stop. Needs root, for its daemons; installs Slurm and munge first if they are missing.
#
#   tools/test_slurm.sh [PYTEST ARGUMENTS]      for instance: tools/test_slurm.sh -k preempted
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=lib_debian.sh
. "${root}/tools/lib_debian.sh"

if [[ "${1:-}" == --help ]]; then
  print_help "${BASH_SOURCE[0]}"
  exit 0
fi
((EUID == 0)) || die "the tests on Slurm start its daemons, which need root" \
  "run tools/test_slurm.sh as root, for instance in a container"
for pair in slurm-wlm=usr/sbin/slurmctld slurm-wlm=usr/sbin/slurmd slurm-wlm=usr/bin/srun \
  munge=usr/sbin/munged; do
  debian_program "${pair%%=*}" "${pair#*=}" >/dev/null
done
export PATH=${PATH}:/usr/sbin
# Each file has a cluster of its own: one mostly waits for Slurm, the others compute.
exec "${root}/tools/test.sh" "${root}/test/slurm" --numprocesses 3 --maxprocesses 3 "$@"
