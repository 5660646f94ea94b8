//! Where each program comes from: KUBEBUILDER_ASSETS, or a build in the cache.

use crate::cache;
use crate::error::{Context, Error, Result};
use crate::gobuild::{Install, go};
use std::fs;
use std::path::{Path, PathBuf};

const KUBERNETES: &str = "v1.36.3";
const KWOK: &str = "v0.8.0";
const KUSTOMIZE: &str = "v5.8.1";

const CONTROL_PLANE_MOD: &str = include_str!("../go/control-plane/go.mod");
const CONTROL_PLANE_SUM: &str = include_str!("../go/control-plane/go.sum");
const KWOK_MOD: &str = include_str!("../go/kwok/go.mod");
const KWOK_SUM: &str = include_str!("../go/kwok/go.sum");
const WAITING_STAGE: &str = include_str!("../stages/pod-waiting.yaml");

/// KWOK's own stages, in the `kustomize/stage` folder of its module.
const STAGES: [&str; 7] = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
    "pod/chaos/pod-container-running-failed.yaml",
    "pod/chaos/pod-init-container-running-failed.yaml",
];

/// Finds programs, building what is missing when it is asked for.
pub(crate) struct Binaries {
    assets: Option<PathBuf>,
}

impl Binaries {
    pub(crate) fn new() -> Result<Self> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").filter(|v| !v.is_empty());
        let Some(assets) = assets.map(PathBuf::from) else {
            return Ok(Self { assets: None });
        };
        for name in ["etcd", "kube-apiserver"] {
            if !assets.join(name).is_file() {
                return Err(Error::new(format!(
                    "KUBEBUILDER_ASSETS is {}, but there is no {name} in it: correct it, or unset \
                     it to let testcluster build the control plane",
                    assets.display()
                )));
            }
        }
        Ok(Self {
            assets: Some(assets),
        })
    }

    /// etcd, a part of Kubernetes, or kubectl. Test assets often lack all but the first two
    /// servers; the others then come from the cache.
    pub(crate) fn control_plane(&self, name: &str) -> Result<PathBuf> {
        match self.asset(name) {
            Some(path) => Ok(path),
            None => Ok(control_plane_entry()?.join(name)),
        }
    }

    /// KWOK and the stage files to start it with.
    pub(crate) fn kwok(&self) -> Result<(PathBuf, Vec<PathBuf>)> {
        let entry = kwok_entry()?;
        let stages = STAGES
            .iter()
            .map(|stage| entry.join(file_name(stage)))
            .chain([entry.join("pod-waiting.yaml")])
            .collect();
        Ok((
            self.asset("kwok").unwrap_or_else(|| entry.join("kwok")),
            stages,
        ))
    }

    fn asset(&self, name: &str) -> Option<PathBuf> {
        self.assets
            .as_ref()
            .map(|dir| dir.join(name))
            .filter(|path| path.is_file())
    }
}

/// A real kubectl of the control plane's version.
pub fn kubectl() -> Result<PathBuf> {
    Binaries::new()?.control_plane("kubectl")
}

/// The reference renderer, built on demand. Only for comparing rendered output with it.
pub fn kustomize() -> Result<PathBuf> {
    let name = cache::key(&format!("kustomize-{KUSTOMIZE}"), &[]);
    let entry = cache::entry(&name, |dir| {
        Install {
            what: &format!("kustomize {KUSTOMIZE}"),
            module: dir,
            bin: dir,
            ldflags: "-s -w",
            packages: &[&format!("sigs.k8s.io/kustomize/kustomize/v5@{KUSTOMIZE}")],
            total: 450,
        }
        .run()
    })?;
    Ok(entry.join("kustomize"))
}

fn control_plane_entry() -> Result<PathBuf> {
    let name = cache::key(
        &format!("control-plane-{KUBERNETES}"),
        &[CONTROL_PLANE_MOD, CONTROL_PLANE_SUM],
    );
    cache::entry(&name, |dir| {
        let module = module(dir, CONTROL_PLANE_MOD, CONTROL_PLANE_SUM)?;
        // Without these the server says that it is v0.0.0, and clients draw conclusions from that.
        let variable = "-X k8s.io/component-base/version";
        let ldflags = format!(
            "-s -w {variable}.gitVersion={KUBERNETES} {variable}.gitMajor=1 {variable}.gitMinor=36"
        );
        Install {
            what: &format!("the Kubernetes {KUBERNETES} control plane"),
            module: &module,
            bin: dir,
            ldflags: &ldflags,
            packages: &["tool"],
            total: 2_720,
        }
        .run()?;
        // etcd's package is called "server".
        fs::rename(dir.join("server"), dir.join("etcd")).doing(|| "renaming etcd".into())
    })
}

fn kwok_entry() -> Result<PathBuf> {
    let name = cache::key(
        &format!("kwok-{KWOK}"),
        &[KWOK_MOD, KWOK_SUM, WAITING_STAGE],
    );
    cache::entry(&name, |dir| {
        let module = module(dir, KWOK_MOD, KWOK_SUM)?;
        Install {
            what: &format!("KWOK {KWOK}"),
            module: &module,
            bin: dir,
            ldflags: "-s -w",
            packages: &["tool"],
            total: 600,
        }
        .run()?;
        let source = go(&module)
            .args(["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"])
            .output()
            .doing(|| "asking Go where KWOK's module is".into())?;
        let source = PathBuf::from(String::from_utf8_lossy(&source.stdout).trim());
        for stage in STAGES {
            let path = source.join("kustomize/stage").join(stage);
            let text = fs::read_to_string(&path)
                .doing(|| format!("reading KWOK's stage {}", path.display()))?;
            let text = if stage.ends_with("pod-ready.yaml") {
                steerable(&text)?
            } else {
                text
            };
            write(&dir.join(file_name(stage)), &text)?;
        }
        write(&dir.join("pod-waiting.yaml"), WAITING_STAGE)
    })
}

/// KWOK makes every pod ready at once. This adds a delay from an annotation, and leaves out the
/// pods that our own stage keeps waiting.
fn steerable(pod_ready: &str) -> Result<String> {
    let selector = "    matchExpressions:\n";
    let next = "  next:\n";
    if pod_ready.matches(selector).count() != 1 || pod_ready.matches(next).count() != 1 {
        return Err(Error::new(
            "KWOK's pod-ready stage has a new form: adapt binaries.rs to it",
        ));
    }
    let not_waiting = "    - key: '.metadata.labels[\"testcluster.towline.dev/waiting\"]'\n\
                       \x20     operator: 'DoesNotExist'\n";
    let delay = "  delay:\n\
                 \x20   durationMilliseconds: 0\n\
                 \x20   durationFrom:\n\
                 \x20     expressionFrom: \
                 '.metadata.annotations[\"testcluster.towline.dev/ready-after\"]'\n";
    Ok(pod_ready
        .replace(selector, &format!("{selector}{not_waiting}"))
        .replace(next, &format!("{delay}{next}")))
}

fn file_name(stage: &str) -> &str {
    stage.rsplit('/').next().unwrap_or(stage)
}

/// A module next to the programs it builds. It is removed with them if the build fails.
fn module(dir: &Path, go_mod: &str, go_sum: &str) -> Result<PathBuf> {
    let module = dir.join("module");
    fs::create_dir(&module).doing(|| format!("creating {}", module.display()))?;
    write(&module.join("go.mod"), go_mod)?;
    write(&module.join("go.sum"), go_sum)?;
    Ok(module)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).doing(|| format!("writing {}", path.display()))
}
