#!/bin/sh
# Writes src/render/merge/builtin.txt: which lists of the built-in kinds a strategic merge patch
# merges by key.
#
# Source: the OpenAPI document of Kubernetes 1.21.2 that kustomize 5.8.1 carries
# (sigs.k8s.io/kustomize/kyaml v0.21.1, from the Go module proxy; Apache-2.0). Only facts are
# taken: names of kinds and fields, patch strategies and merge keys. Needs Go.
#
# Types from which no merged list can be reached are left out, and so are fields that lead to them,
# and the kinds of lists, which are taken apart before anything is patched.
set -eu
out=$(cd "$(dirname "$0")/.." && pwd)/src/render/merge/builtin.txt
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > main.go <<'GO'
package main

import (
	"fmt"
	"sort"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

var definitions spec.Definitions

// What a field leads to: a definition, directly, in a list or in a map.
type field struct {
	name, target, merge string
	list, mapped        bool
}

func target(ref spec.Ref) string {
	parts := strings.Split(ref.String(), "/")
	return parts[len(parts)-1]
}

func fields(name string) []field {
	var found []field
	for property, schema := range definitions[name].Properties {
		f := field{name: property, target: target(schema.Ref)}
		if len(schema.Type) == 1 && schema.Type[0] == "array" && schema.Items != nil {
			f.list = true
			f.target = target(schema.Items.Schema.Ref)
		} else if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
			f.mapped = true
			f.target = target(schema.AdditionalProperties.Schema.Ref)
		}
		strategy, _ := schema.Extensions["x-kubernetes-patch-strategy"].(string)
		for _, s := range strings.Split(strategy, ",") {
			if s == "merge" && f.list {
				f.merge = " ="
				if key, ok := schema.Extensions["x-kubernetes-patch-merge-key"].(string); ok {
					f.merge += key
				}
				if keys, ok := schema.Extensions["x-kubernetes-list-map-keys"].([]interface{}); ok {
					names := []string{}
					for _, key := range keys {
						names = append(names, key.(string))
					}
					f.merge = " =" + strings.Join(names, ",")
				}
			}
		}
		found = append(found, f)
	}
	sort.Slice(found, func(i, j int) bool { return found[i].name < found[j].name })
	return found
}

func main() {
	definitions = openapi.Schema().Definitions
	names := []string{}
	for name := range definitions {
		if !strings.HasSuffix(name, "List") {
			names = append(names, name)
		}
	}
	sort.Strings(names)

	useful := map[string]bool{}
	for grown := true; grown; {
		grown = false
		for _, name := range names {
			for _, f := range fields(name) {
				if !useful[name] && (f.merge != "" || useful[f.target]) {
					useful[name], grown = true, true
				}
			}
		}
	}
	number := map[string]int{}
	for _, name := range names {
		if useful[name] {
			number[name] = len(number)
		}
	}

	fmt.Println("# Written by scripts/merge-keys.sh from the OpenAPI document of Kubernetes 1.21.2.")
	fmt.Println("# type: fields that lead to a merged list. 5: type 5, []5: a list, {}5: a map; =a,b: merged by")
	fmt.Println("# a and b, =: merged as a set. kind: apiVersion, kind, type.")
	for _, name := range names {
		if !useful[name] {
			continue
		}
		parts := strings.Split(name, ".")
		fmt.Printf("type %d %s\n", number[name], strings.Join(parts[len(parts)-2:], "."))
		for _, f := range fields(name) {
			if f.merge == "" && !useful[f.target] {
				continue
			}
			to := ""
			if f.list {
				to = "[]"
			} else if f.mapped {
				to = "{}"
			}
			if useful[f.target] {
				to += fmt.Sprint(number[f.target])
			}
			fmt.Printf(" %s %s%s\n", f.name, to, f.merge)
		}
	}
	kinds := []string{}
	for _, name := range names {
		if !useful[name] {
			continue
		}
		list, _ := definitions[name].Extensions["x-kubernetes-group-version-kind"].([]interface{})
		for _, one := range list {
			gvk := one.(map[string]interface{})
			version := gvk["version"].(string)
			if group, _ := gvk["group"].(string); group != "" {
				version = group + "/" + version
			}
			kinds = append(kinds, fmt.Sprintf("kind %s %s %d", version, gvk["kind"], number[name]))
		}
	}
	sort.Strings(kinds)
	fmt.Println(strings.Join(kinds, "\n"))
}
GO

go mod init merge-keys >/dev/null 2>&1
go mod edit -require=sigs.k8s.io/kustomize/kyaml@v0.21.1
go mod tidy >/dev/null 2>&1
go run . > "$out"
echo "$out: $(wc -c < "$out") bytes"
