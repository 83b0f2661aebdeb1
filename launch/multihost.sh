#!/usr/bin/env bash
# Trains one model on several machines, where nothing starts processes for you.
#
#   launch/multihost.sh I/N HOST:PORT --config=FILE --workdir=DIR [...]
#
# Run it on each of the N machines, with I from 1 to N: one process that drives all GPUs
# of its machine. HOST:PORT is where the first listens; the others must reach it. DIR is
# on a file system that all see; data and packages must be the same everywhere.
set -euo pipefail
if [ $# -lt 3 ] || [[ $1 == -* ]] || [[ $2 == -* ]]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
place="$1@$2"
shift 2
# exec: signals reach the training itself, and its exit status is the script's.
exec python -m sugrm_jax.main --processes="$place" "$@"
