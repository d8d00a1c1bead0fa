#!/usr/bin/env bash
# Train GLCIC and EdgeConnect for minutes, score them beside classical methods and floors, and write the report.
# Finished steps are kept: a second run resumes what was killed and reuses the rest. Delete demo/ to start over.
set -euo pipefail
export WANDB_MODE="${WANDB_MODE:-offline}" # a demo stays on this machine unless told otherwise

inpaintlab manifest data=photos data.size=64 out=demo/test.json

# Both at once with one thread each: networks this narrow gain nothing from a second one.
train() {
  OMP_NUM_THREADS=1 inpaintlab train experiment="demo_$1" runs=demo/runs name="$1" 2>&1 | sed -u "s/^/$1: /"
}
train glcic & glcic=$!
train edgeconnect & edgeconnect=$!
wait "$glcic"
wait "$edgeconnect"

test="manifest=demo/test.json results=demo/results"
inpaintlab evaluate $test checkpoint=demo/runs/glcic which=last
inpaintlab evaluate $test checkpoint=demo/runs/edgeconnect which=last
inpaintlab evaluate -m $test model=telea,navier_stokes,biharmonic,mean_colour
# What the two were before they learned anything: floors.
inpaintlab evaluate $test model=glcic model.width=0.25 untrained=true label=glcic_initial
inpaintlab evaluate $test model=edgeconnect model.width=0.125 untrained=true label=edgeconnect_initial

inpaintlab compare demo/results/* out=demo/report
