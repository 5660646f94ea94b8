//! Code that a repository would like to have run (case 7).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::{is_refused, refusal, with_object};

#[test]
fn charts_plugins_and_functions_are_refused_by_name() {
    for (text, named) in [
        (
            "helmCharts: [{name: c, repo: 'https://example.com'}]",
            "helmCharts",
        ),
        (
            "helmChartInflationGenerator: [{chartName: c}]",
            "helmChartInflationGenerator",
        ),
    ] {
        is_refused(
            &with_object(&format!("resources: [a.yaml]\n{text}\n")),
            "",
            "PluginsForbidden",
            &["kustomization.yaml:2", named, "runs no other program"],
        );
    }
    for function in [
        "container: {image: example.com/f}",
        "exec: {path: ./run.sh}",
        "starlark: {path: s.star, name: s}",
    ] {
        let plugin = format!(
            "{{apiVersion: example.com/v1, kind: Function, metadata: {{name: f, annotations: \
             {{config.kubernetes.io/function: \"{function}\"}}}}}}"
        );
        for field in ["generators", "transformers", "validators"] {
            let tree = with_object(&format!("resources: [a.yaml]\n{field}:\n- '{plugin}'\n"));
            is_refused(
                &tree,
                "",
                "PluginsForbidden",
                &["kustomization.yaml:3", "Function"],
            );
        }
    }
    for plugin in [
        "{apiVersion: someteam.example.com/v1, kind: GoPlugin, metadata: {name: p}}",
        "{apiVersion: builtin, kind: HelmChartInflationGenerator, metadata: {name: p}, name: c}",
        "{apiVersion: builtin/v1, kind: ConfigMapGenerator, metadata: {name: p}}",
    ] {
        let tree = with_object(&format!("resources: [a.yaml]\ngenerators:\n- '{plugin}'\n"));
        is_refused(&tree, "", "PluginsForbidden", &["kustomization.yaml:3"]);
    }
    let (_, text) = refusal(
        &with_object("resources: [a.yaml]\nhelmGlobals: {chartHome: /}\nx: 1\n"),
        "",
    );
    assert!(text.contains("unknown field `x`"), "{text}");
}

/// Every executable that a tool like this could be made to start leaves a mark when it is started,
/// under the names that are looked for: in the tree, in the plugin directories and in `PATH`.
#[test]
fn no_program_is_started() {
    let root = tempfile::tempdir().unwrap();
    let (tree, bin, mark) = (
        root.path().join("tree"),
        root.path().join("bin"),
        root.path().join("mark"),
    );
    let script = format!("#!/bin/sh\necho \"$0\" >> '{}'\n", mark.display());
    let mut programs: Vec<_> = [
        "git",
        "helm",
        "kustomize",
        "kubectl",
        "ssh",
        "sh",
        "bash",
        "docker",
        "podman",
        "go",
        "sops",
    ]
    .iter()
    .map(|name| bin.join(name))
    .collect();
    programs.push(tree.join("run.sh"));
    programs.push(tree.join("plugin/example.com/v1/function/Function"));
    for program in &programs {
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(program, &script).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(tree.join("a.yaml"), super::CONFIG_MAP).unwrap();
    let function = |what: &str| {
        format!(
            "apiVersion: example.com/v1\nkind: Function\nmetadata:\n  name: f\n  annotations:\n    \
             config.kubernetes.io/function: '{what}'\n"
        )
    };
    fs::write(tree.join("exec.yaml"), function("exec: {path: ./run.sh}")).unwrap();
    fs::write(
        tree.join("container.yaml"),
        function("container: {image: x}"),
    )
    .unwrap();
    let mut refused = 0;
    for text in [
        "generators: [exec.yaml]",
        "transformers: [exec.yaml]",
        "validators: [container.yaml]",
        "helmCharts: [{name: c, repo: 'https://example.com'}]",
        "helmGlobals: {chartHome: .}",
        "components: ['git::ssh://example.com/o/r']",
        "patches: [{path: 'https://example.com/x'}]",
        "configMapGenerator: [{name: g, files: ['run.sh']}]",
    ] {
        fs::write(
            tree.join("kustomization.yaml"),
            format!("resources: [a.yaml]\n{text}\n"),
        )
        .unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_towline"))
            .arg("render")
            .arg(&tree)
            .env("PATH", &bin)
            .env("KUSTOMIZE_PLUGIN_HOME", tree.join("plugin"))
            .env("GIT_SSH_COMMAND", bin.join("ssh"))
            .output()
            .unwrap();
        refused += u32::from(output.status.code() == Some(1));
        let started = fs::read_to_string(&mark).unwrap_or_default();
        assert_eq!(started, "", "{text}");
    }
    assert_eq!(refused, 6, "two of them need no program");
    // and a started one would be seen
    assert!(Command::new(&programs[0]).status().unwrap().success());
    assert!(mark.exists());
}
