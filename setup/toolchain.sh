#!/bin/bash
# The Rust toolchain that rust-toolchain.toml pins.
#
#   toolchain.sh name     what RUSTUP_TOOLCHAIN must be for it: nothing where rustup finds or gets it by itself
#   toolchain.sh check    ends with 1, and says why, where neither rustup nor this version is there
#   toolchain.sh install  gets it, with the target of the module
set -euo pipefail
cd "$(dirname "$0")/.."

pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
target=$(sed -n 's/^targets = \["\(.*\)"\]/\1/p' rust-toolchain.toml)

has_rustup() { command -v rustup >/dev/null; }
is_pinned() { [[ $("$@" --version 2>/dev/null) == "rustc $pinned "* ]]; }
has_target() { [[ -d $(rustc --print target-libdir --target "$target" 2>/dev/null) ]]; }

case $1 in
    name)
        # Another name of the same version, such as "stable", need not be fetched a second time.
        if [[ -z ${RUSTUP_TOOLCHAIN-} ]] && has_rustup && ! rustup toolchain list | grep -q "^$pinned-"; then
            default=$(rustup default 2>/dev/null | cut -d' ' -f1) || true
            [[ -z $default ]] || ! is_pinned rustup run "$default" rustc || echo "$default"
        fi
        ;;
    check)
        has_rustup && exit
        if ! command -v cargo >/dev/null || ! is_pinned rustc; then
            echo "Rust $pinned is missing: install rustup, see https://rustup.rs"
        elif ! has_target; then
            echo "Rust's target $target is missing, and rustup, which gets it: see https://rustup.rs"
        else
            exit 0
        fi
        exit 1
        ;;
    install)
        if has_rustup; then
            toolchain=${RUSTUP_TOOLCHAIN:-$pinned}
            rustup run "$toolchain" rustc --version 2>/dev/null ||
                rustup toolchain install --profile minimal --no-self-update "$toolchain"
            rustup target add --toolchain "$toolchain" "$target"
            rustup component add --toolchain "$toolchain" rustfmt clippy
        fi
        ;;
esac
