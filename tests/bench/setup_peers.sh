#!/bin/sh
# Environment of the peers that `make bench` measures against and `make test-peers` runs beside: sh tests/bench/setup_peers.sh FOLDER
# torch comes first and pinned: a package that pulls torch by itself brings a CUDA build of several GB.
# ASTRA (GPL-3) and the rest live here only; nothing of ipbox depends on them.
set -eu
folder=${1:-.venv-peers}
here=$(cd "$(dirname "$0")" && pwd)
stamp="$folder/.ready"
if [ -f "$stamp" ] && cmp -s "$stamp" "$here/requirements-peers.txt"; then exit 0; fi
echo "creating the peers' environment in $folder (about 2 GB, once)"
${PYTHON:-python3} -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps deepinv==0.5.0 torchvision==0.28.0
# cuqipy's own pin of NumPy is older than what it runs with
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps cuqipy==1.5.1
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements-peers.txt"
cp "$here/requirements-peers.txt" "$stamp"
