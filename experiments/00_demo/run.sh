#!/bin/sh
# Train GLCIC and EdgeConnect for minutes, score them beside classical methods and floors, and write the report.
# Finished steps are kept: a second run resumes what was killed and reuses the rest. Delete demo/ to start over.
set -eu
export WANDB_MODE="${WANDB_MODE:-offline}" # a demo stays on this machine unless told otherwise

inpaintlab manifest data=photos data.size=64 out=demo/test.json

for model in glcic edgeconnect; do
  inpaintlab train model=$model experiment=demo runs=demo/runs name=$model
done

score="inpaintlab evaluate manifest=demo/test.json results=demo/results"
$score checkpoint=demo/runs/glcic
$score checkpoint=demo/runs/edgeconnect
$score -m model=telea,navier_stokes,biharmonic,mean_colour
# What the two were before they learned anything, at the demo's width: floors.
$score -m model=glcic,edgeconnect untrained=true model.width=0.25 label='${hydra:runtime.choices.model}_untrained'

inpaintlab compare demo/results/* out=demo/report
