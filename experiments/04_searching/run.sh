#!/usr/bin/env bash
# PHOTOGRAPHS=FOLDER experiments/04_searching/run.sh: the folder holds the sources as folders of pictures. GLCIC and
# EdgeConnect are the runs of experiments/03_rivals, in rivals/runs of the current folder. Out come searching/report, with the
# table and the pictures, and searching/by_source.md.
#
#   SOURCES="urban100 facades_cmp places_examples"   folders of PHOTOGRAPHS
#   EACH=8        photographs of each source, the first in the order of their names
#   SIZE=256      side of the squares
#   CORES=        processes that complete images at the same time; empty: as many as there are cores
#   STUDY=        another study in the place of study.yaml, such as one with fewer methods
#
# Every step is kept: the same command goes on where it was stopped. Delete searching/ to start over.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
study="${STUDY:-$here/study.yaml}"
cores="${CORES:-$(getconf _NPROCESSORS_ONLN)}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"  # each process is one core's
mkdir -p searching

for source in ${SOURCES:-urban100 facades_cmp places_examples}; do
  (cd "$PHOTOGRAPHS" && find -L "$source" -type f | LC_ALL=C sort | head -n "${EACH:-8}")
done > searching/test.txt

# Two holes for each: a block of 25 % at a random place, for which each method has to invent what was there, and strokes.
inpaintlab manifest data=folder "data.root=$PHOTOGRAPHS" "data.source.test=$PWD/searching/test.txt" "data.size=${SIZE:-256}" \
  'bins={20-30: {_target_: inpaintlab.masks.WithHoleRatio, mask: "${irregular}", low: 0.2, high: 0.3}, fixed: {_target_: inpaintlab.masks.Block, fraction: 0.5}}' \
  out=searching/test.json

# Methods that take seconds for an image: one process a core, with the numbers of a single one.
together=(trainer=cpu "trainer.devices=$cores")
if ((cores > 1)); then together+=(trainer.strategy=ddp); fi
for model in patchmatch patchmatch_library image_melding planar_structure; do
  if grep -q "model: $model}" "$study"; then
    inpaintlab evaluate manifest=searching/test.json results=searching/results model="$model" blend=true batch_size=1 \
      "${together[@]}"
  fi
done

inpaintlab compare study="$study"  # evaluates the others
python "$here/by_source.py" searching/results | tee searching/by_source.md
