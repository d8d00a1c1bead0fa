#!/usr/bin/env bash
# Train GLCIC and EdgeConnect for minutes, from the starter weights and from scratch, score them beside classical methods and the
# mean colour, and write the report. Finished steps are kept: a second run resumes what was killed and reuses the rest. Delete
# demo/ to start over.
set -euo pipefail
export WANDB_MODE="${WANDB_MODE:-offline}" # a demo stays on this machine unless told otherwise

inpaintlab manifest data=photos data.size=64 out=demo/test.json
test="manifest=demo/test.json results=demo/results"

# What one method needs: the same training from the starter weights and from scratch, and the scores of both and of the starter.
# The two methods run at once with one thread each: networks this narrow gain nothing from a second one.
study() {
  export OMP_NUM_THREADS=1
  inpaintlab train experiment="demo_$1" runs=demo/runs name="$1"
  inpaintlab train experiment="demo_$1" runs=demo/runs name="$1-from-scratch" init=null
  inpaintlab evaluate -m $test checkpoint="starter-$1,demo/runs/$1,demo/runs/$1-from-scratch" trainer=cpu workers=0
}
study glcic 2>&1 | sed -u "s/^/glcic: /" & glcic=$!
study edgeconnect 2>&1 | sed -u "s/^/edgeconnect: /" & edgeconnect=$!
wait "$glcic"
wait "$edgeconnect"

inpaintlab evaluate -m $test model=telea,navier_stokes,biharmonic,mean_colour
inpaintlab compare demo/results/* out=demo/report
