#!/usr/bin/env bash
# Trains one model with N processes on this machine.
#
#   launch/local.sh N --config=FILE [--workdir=DIR] [--config.FIELD=VALUE ...]
#   GPUS=0,1,2,3 launch/local.sh 2 --config=configs/mosei.py
#
# The GPUs, all or those that GPUS names, are dealt out evenly. One process drives many
# GPUs well; several spread the host's work, and try what a cluster will do. The same
# command again resumes a run that was stopped; any number of processes may.
set -euo pipefail
if [ $# -lt 2 ] || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
count="$1"
shift

if [ -z "${GPUS:-}" ] && command -v nvidia-smi >/dev/null; then
    GPUS="$(nvidia-smi --query-gpu=index --format=csv,noheader | paste -sd,)"
fi
IFS=, read -ra gpus <<<"${GPUS:-}"
if [ $((${#gpus[@]} % count)) -ne 0 ]; then
    echo "${#gpus[@]} GPUs cannot be dealt out evenly to $count processes." >&2
    exit 2
fi
each=$((${#gpus[@]} / count))
port="$(python -c 'import socket as s; x = s.socket(); x.bind(("", 0)); print(x.getsockname()[1])')"

# Each in a group of its own, so that a signal comes once, from here.
set -m
pids=()
for ((i = 0; i < count; i++)); do
    if [ "$each" -gt 0 ]; then
        CUDA_VISIBLE_DEVICES="$(IFS=,; echo "${gpus[*]:i * each:each}")"
        export CUDA_VISIBLE_DEVICES
    fi
    python -m sugrm_jax.main --processes="$((i + 1))/$count@127.0.0.1:$port" "$@" &
    pids+=($!)
done
trap 'kill -TERM "${pids[@]}" 2>/dev/null || true' INT TERM

status=0
for pid in "${pids[@]}"; do
    while
        wait "$pid" && ended=0 || ended=$?
        # A signal to this script ends a wait early.
        kill -0 "$pid" 2>/dev/null
    do :; done
    [ "$status" -ne 0 ] || status=$ended
done
exit "$status"
