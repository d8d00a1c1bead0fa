#!/usr/bin/env bash
# bash setup.sh FOLDER EXTRAS: make a virtual environment with this checkout in it. The Makefile calls this.
#
# uv puts in what uv.lock names, in seconds. Where uv cannot be had, or INSTALLER=pip asks for it, pip chooses versions
# within the bounds of pyproject.toml, in minutes. PyTorch comes by pip either way: its settings on a machine decide
# which build that gets (CPU, CUDA, ROCm), and uv does not read them.
set -euo pipefail
folder=$1
extras=$2
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}  # as pip's: behind a proxy the certificates are the machine's own
python3 -m venv "$folder"
python=$folder/bin/python

by_pip() {
  "$python" -m pip install --quiet --disable-pip-version-check "$@"
}

by_uv() {
  local uv
  uv=$(command -v uv) || { by_pip uv && uv=$folder/bin/uv; } || return 1
  local export=("$uv" export --quiet --frozen --no-hashes --no-annotate --no-header --no-emit-project)
  for extra in ${extras//,/ }; do export+=(--extra "$extra"); done
  "${export[@]}" --output-file "$folder/locked.txt" || return 1
  mapfile -t torch < <(grep --only-matching --extended-regexp '^torch(vision)?==[^ ;]+' "$folder/locked.txt")
  by_pip "${torch[@]}" || return 1
  "${export[@]}" --prune torch --prune torchvision --output-file "$folder/locked.txt" || return 1
  "$uv" pip install --quiet --python "$python" --requirement "$folder/locked.txt" || return 1
  "$uv" pip install --quiet --python "$python" --no-deps --editable .
}

if [ "${INSTALLER:-uv}" = pip ]; then
  by_pip --editable ".[$extras]"
elif ! by_uv; then
  echo "uv did not do it: pip sets $folder up instead, which takes a few minutes." >&2
  by_pip --editable ".[$extras]"
fi
