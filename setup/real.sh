#!/bin/bash
# The programs beside which `make test-real` runs the filter, built from the Go module registry, once, into .tools/real.
#
#   real.sh oauth2-proxy    Ory Hydra and oauth2-proxy, which logs people in with it
#   real.sh hydra           Ory Hydra
#   real.sh envoy-gateway   Envoy Gateway; its suite needs root as well, and Debian's docker-registry and skopeo
#   real.sh istio           Istio's pilot-discovery and pilot-agent; its suite needs the same, and openssl
set -euo pipefail
cd "$(dirname "$0")/.."

oauth2_proxy=v7.15.6
envoy_gateway=v1.9.1
istio=v0.0.0-20260827124520-eed52ebb66ad
hydra=$(sed -n 's|^\tgithub.com/ory/hydra/v2 \(v[^ ]*\).*|\1|p' setup/hydra/go.mod)

command -v go >/dev/null || { echo "Go is missing, which these programs are built with: see https://go.dev/doc/install" >&2; exit 1; }
mkdir -p .tools/real
into=$PWD/.tools/real
# Nothing else is fetched than what is pinned.
export GOTOOLCHAIN=local GOFLAGS=-ldflags=-s

# build NAME VERSION COMMAND...
build() {
    local name=$1 version=$2 begin=$SECONDS
    [[ ! -e $into/$name-$version.stamp ]] || return 0
    echo "building $name $version with $(go version | cut -d' ' -f3); this takes minutes" >&2
    "${@:3}"
    rm -f "$into/$name"-*.stamp
    touch "$into/$name-$version.stamp"
    echo "$name $version was built in $((SECONDS - begin)) s" >&2
}

# Its database is written in C.
build_hydra() { CGO_ENABLED=1 go build -C setup/hydra -tags sqlite -o "$into/hydra" github.com/ory/hydra/v2; }
build_envoy_gateway() { CGO_ENABLED=0 GOBIN=$into go install "github.com/envoyproxy/gateway/cmd/envoy-gateway@$envoy_gateway"; }
build_istio() {
    CGO_ENABLED=0 GOBIN=$into go install "istio.io/istio/pilot/cmd/pilot-discovery@$istio" "istio.io/istio/pilot/cmd/pilot-agent@$istio"
    # Its definitions of Kubernetes resources and its template of Envoy's bootstrap are among the sources.
    go mod download "istio.io/istio@$istio"
    echo "$(go env GOMODCACHE)/istio.io/istio@$istio" >"$into/istio-sources"
}
needs_root() {
    [[ $(id -u) == 0 ]] || { echo "the suite of $1 needs root, for namespaces of its own" >&2; exit 1; }
    setup/needs.sh test image
}
build_oauth2_proxy() { CGO_ENABLED=0 GOBIN=$into go install "github.com/oauth2-proxy/oauth2-proxy/v7@$oauth2_proxy"; }

case $1 in
    oauth2-proxy)
        build hydra "$hydra" build_hydra
        build oauth2-proxy "$oauth2_proxy" build_oauth2_proxy
        ;;
    hydra) build hydra "$hydra" build_hydra ;;
    envoy-gateway)
        needs_root "Envoy Gateway"
        build envoy-gateway "$envoy_gateway" build_envoy_gateway
        ;;
    istio)
        needs_root Istio
        command -v openssl >/dev/null || { echo "openssl is missing. On Debian: apt-get install openssl" >&2; exit 1; }
        build istio "$istio" build_istio
        ;;
    *)
        echo "there is no $1; there are oauth2-proxy, hydra, envoy-gateway and istio: make test-real HOST=hydra" >&2
        exit 1
        ;;
esac
