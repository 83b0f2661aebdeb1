#!/usr/bin/env bash
# From raw clips to predictions, the whole way, on clips that are made here.
#
#   launch/own_clips.sh [FOLDER]            # runs/own_clips of this clone by default
#
# Needs Python 3.11, espeak-ng for the voices, and a network for pip. Two environments
# are made in FOLDER: one that decodes and measures (requirements-video.txt), one that
# trains and predicts (requirements-app.txt). With Chromium and its driver on the PATH,
# and curl, the page of sugrm_jax.app is opened, used, and photographed, too.
set -euo pipefail
clone="$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")"
folder="${1:-$clone/runs/own_clips}"
mkdir -p "$folder"
folder="$(realpath "$folder")"
cd "$clone"

environment() {
    [ -x "$folder/$1/bin/python" ] || python3 -m venv "$folder/$1"
    "$folder/$1/bin/python" -m pip install --quiet -r "$2"
}

# Whether the process $1 answers at the address $2 within five minutes.
answers() {
    for ((second = 0; second < 300; second++)); do
        kill -0 "$1" 2>/dev/null || return 1
        if curl --silent --output /dev/null "$2"; then return 0; fi
        sleep 1
    done
    return 1
}

environment video requirements-video.txt
environment main requirements-app.txt
video="$folder/video/bin/python" main="$folder/main/bin/python"
export SUGRM_VIDEO_PYTHON="$video"

rm -rf "$folder"/made "$folder"/made.pkl "$folder"/run "$folder"/model
"$video" launch/made_clips.py "$folder/made"
"$video" -m sugrm_jax.extract "$folder/made/clips" "$folder/made/labels.csv" "$folder/made.pkl"
"$main" -m sugrm_jax.data check "$folder/made.pkl"
# Small steps for a small set: eight samples each, no accumulation.
"$main" -m sugrm_jax.main --config=configs/mosi.py:minilm,frozen \
    --config.data.path="$folder/made.pkl" --workdir="$folder/run" \
    --config.train.batch=8 --config.train.epochs=8 --config.optim.accumulate=1
"$main" -m sugrm_jax.predict --run="$folder/run" "$folder/made/talk.mp4" \
    --subtitles="$folder/made/talk.srt" --out="$folder/talk.csv" --plot="$folder/talk.png"
"$main" -m sugrm_jax.export --run="$folder/run" "$folder/model"
"$main" "$folder/model/example.py"

if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
    "$main" -m pip install --quiet selenium
    "$main" -m sugrm_jax.app --run="$folder/run" --port=7861 &
    page=$!
    trap 'kill "$page" 2>/dev/null; wait' EXIT
    address=http://127.0.0.1:7861/
    answers "$page" "$address" || { echo 'sugrm_jax.app: the page did not start.' >&2; exit 1; }
    "$main" launch/photograph.py "$address" \
        "$folder/made/talk.mp4" "$folder/made/talk.srt" "$folder/app.png"
fi
ls -l "$folder"/talk.csv "$folder"/*.png "$folder"/model
