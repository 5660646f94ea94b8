#!/bin/sh
# Writes fixtures/render/*/expected.yaml: what the real kustomize v5.8.1 prints for each input.
#
# Fixtures without expected.yaml are mistakes: kustomize must refuse those too, and their error.txt
# is towline's own text, written by `UPDATE=1 cargo test`. Needs Go, once.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
version=v5.8.1
bin=${KUSTOMIZE:-${XDG_CACHE_HOME:-$HOME/.cache}/towline/kustomize-$version/kustomize}
if [ ! -x "$bin" ]; then
	GOBIN=$(dirname "$bin") CGO_ENABLED=0 go install "sigs.k8s.io/kustomize/kustomize/v5@$version"
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for fixture in "$root"/fixtures/render/*/; do
	name=$(basename "$fixture")
	case $name in
	error-*)
		if "$bin" build "$fixture/input" >/dev/null 2>&1; then
			echo "$name: kustomize accepts it" >&2
			exit 1
		fi
		;;
	plain-*) ;; # a directory without kustomization: kustomize has no say
	*)
		"$bin" build "$fixture/input" >"$out" 2>/dev/null || {
			echo "$name: kustomize refuses it" >&2
			"$bin" build "$fixture/input" >&2 || exit 1
		}
		cp "$out" "$fixture/expected.yaml"
		;;
	esac
done
