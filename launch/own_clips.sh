#!/usr/bin/env bash
# From raw clips to predictions, the whole way, on clips that are made here.
#
#   launch/own_clips.sh [FOLDER]            # runs/own_clips by default
#
# Needs Python 3.11, espeak-ng for the voices, and a network for pip. Two environments
# are made in FOLDER: one that decodes and measures (requirements-video.txt), one that
# trains and predicts (requirements-app.txt). With Chromium and its driver on the PATH
# the page of sugrm_jax.app is opened, used, and photographed, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder="${1:-runs/own_clips}"
mkdir -p "$folder"

environment() {
    [ -x "$folder/$1/bin/python" ] || python3 -m venv "$folder/$1"
    "$folder/$1/bin/python" -m pip install --quiet -r "$2"
}
environment video requirements-video.txt
environment main requirements-app.txt
video="$folder/video/bin/python" main="$folder/main/bin/python"
export SUGRM_VIDEO_PYTHON="$PWD/$video"

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
    trap 'kill %1 2>/dev/null; wait' EXIT
    until curl --silent --output /dev/null http://127.0.0.1:7861/; do sleep 1; done
    "$main" launch/photograph.py http://127.0.0.1:7861/ \
        "$folder/made/talk.mp4" "$folder/made/talk.srt" "$folder/app.png"
fi
ls -l "$folder"/talk.csv "$folder"/*.png "$folder"/model
