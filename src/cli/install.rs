//! `towline install`: prints the manifests of this very version. They are in the binary, and are
//! rendered by towline's own renderer.

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::NAMESPACE;
use super::render::{Rendered, render_tree};
use super::screen::Screen;
use crate::render::Options;
use crate::tree::Tree;

/// The image that the manifests name.
const IMAGE: &str = "ghcr.io/towline/towline";
/// Where the manifests are in the tree that is rendered.
const BASE: &str = "manifests";
/// Where the kustomization is that puts them together.
const OVERLAY: &str = "install";

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../manifests/", $path)))),*]
    };
}

/// Every file below `manifests/` that `install` may need, with its content.
const FILES: &[(&str, &str)] = embedded!(
    "components/cluster-admin/cluster-role-binding.yaml",
    "components/cluster-admin/kustomization.yaml",
    "components/ha/deployment.yaml",
    "components/ha/kustomization.yaml",
    "components/ha/pod-disruption-budget.yaml",
    "components/service-monitor/kustomization.yaml",
    "components/service-monitor/service-monitor.yaml",
    "components/tenants-only/kustomization.yaml",
    "crd.yaml",
    "deployment.yaml",
    "kustomization.yaml",
    "namespace.yaml",
    "rbac.yaml",
    "service-account.yaml",
    "service.yaml",
);

/// Print the manifests of this version of towline
///
/// `towline install | kubectl apply --server-side -f -` installs and upgrades.
#[derive(Debug, clap::Args)]
pub(super) struct InstallArgs {
    /// Optional parts; may be given several times
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    with: Vec<Part>,
    /// The namespace of the agent
    #[arg(short, long, value_name = "NAME", default_value = NAMESPACE, value_parser = namespace)]
    namespace: String,
    /// Another image, such as registry.example.com/towline:0.1.0 or …@sha256:…
    #[arg(long, value_name = "REF", value_parser = image)]
    image: Option<Image>,
}

/// An optional part of the manifests: a component of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Part {
    /// Every commit may do everything: RBAC, CRDs and webhooks included
    ClusterAdmin,
    /// A second replica that waits for the Lease
    Ha,
    /// Scraping by the Prometheus Operator
    ServiceMonitor,
    /// The agent may act only as the ServiceAccounts that tenants open to it
    TenantsOnly,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::ClusterAdmin => "cluster-admin",
            Self::Ha => "ha",
            Self::ServiceMonitor => "service-monitor",
            Self::TenantsOnly => "tenants-only",
        }
    }
}

/// An image reference in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Image {
    name: String,
    tag: Option<String>,
    digest: Option<String>,
}

fn image(text: &str) -> Result<Image, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err("this is no image reference".into());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.to_owned())),
        None => (text, None),
    };
    // A colon before the last slash is that of a port.
    let name = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[name..].find(':') {
        Some(colon) => (
            &rest[..name + colon],
            Some(rest[name + colon + 1..].to_owned()),
        ),
        None => (rest, None),
    };
    let is_empty = |part: &Option<String>| part.as_ref().is_some_and(String::is_empty);
    if name.is_empty() || name.ends_with('/') || is_empty(&tag) || is_empty(&digest) {
        return Err("this is no image reference".into());
    }
    Ok(Image {
        name: name.into(),
        tag,
        digest,
    })
}

fn namespace(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = (1..=63).contains(&text.len())
        && text.chars().all(is_plain)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_name {
        Ok(text.into())
    } else {
        Err("this is no name of a namespace".into())
    }
}

/// # Errors
/// When parts contradict each other.
pub(super) fn run(args: &InstallArgs, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    screen.print(&manifests(args)?)?;
    Ok(0)
}

/// The manifests as one stream of YAML documents.
fn manifests(args: &InstallArgs) -> anyhow::Result<String> {
    if args.with.contains(&Part::ClusterAdmin) && args.with.contains(&Part::TenantsOnly) {
        bail!(
            "--with cluster-admin gives the agent every right, --with tenants-only takes them away: choose one"
        );
    }
    let files = FILES
        .iter()
        .map(|(path, text)| (format!("{BASE}/{path}"), (*text).to_owned()));
    let overlay = (
        format!("{OVERLAY}/kustomization.yaml"),
        overlay(args).to_string(),
    );
    let tree = Tree::from_memory(files.chain([overlay]));
    let Rendered { text, .. } = render_tree(&tree, OVERLAY, &Options::default())
        .context("the manifests in this binary do not render; please report it")?;
    Ok(text)
}

/// The kustomization that the arguments stand for; JSON is YAML.
fn overlay(args: &InstallArgs) -> Value {
    let mut parts = args.with.clone();
    parts.sort();
    parts.dedup();
    let components: Vec<String> = parts
        .iter()
        .map(|part| format!("../{BASE}/components/{}", part.name()))
        .collect();
    let mut overlay = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [format!("../{BASE}")],
        "components": components,
    });
    if args.namespace != NAMESPACE {
        overlay["namespace"] = args.namespace.as_str().into();
    }
    if let Some(image) = &args.image {
        let mut change = json!({"name": IMAGE, "newName": image.name});
        if let Some(tag) = &image.tag {
            change["newTag"] = tag.as_str().into();
        }
        if let Some(digest) = &image.digest {
            change["digest"] = digest.as_str().into();
        }
        overlay["images"] = json!([change]);
    }
    overlay
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn args(with: &[Part]) -> InstallArgs {
        InstallArgs {
            with: with.to_vec(),
            namespace: NAMESPACE.into(),
            image: None,
        }
    }

    fn collect(dir: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in dir.read_dir().expect("a directory") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                collect(&path, root, found);
            } else {
                let below = path.strip_prefix(root).expect("below the root");
                found.insert(below.to_str().expect("UTF-8").to_owned());
            }
        }
    }

    /// `components/tenant` is for each team's own repository, the README for people.
    #[test]
    fn every_manifest_is_in_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(BASE);
        let mut files = BTreeSet::new();
        collect(&root, &root, &mut files);
        files.retain(|file| file.ends_with(".yaml") && !file.starts_with("components/tenant/"));
        let embedded: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(embedded, files);
    }

    #[test]
    fn every_component_is_a_part() {
        let parts: BTreeSet<String> = Part::value_variants()
            .iter()
            .map(|part| part.name().to_owned())
            .collect();
        let components = FILES
            .iter()
            .filter_map(|(path, _)| path.strip_prefix("components/"));
        let components: BTreeSet<String> = components
            .filter_map(|path| Some(path.split_once('/')?.0.to_owned()))
            .collect();
        assert_eq!(parts, components);
        for part in Part::value_variants() {
            let value = part.to_possible_value().expect("a value");
            assert_eq!(value.get_name(), part.name());
        }
    }

    #[test]
    fn the_default_is_what_kubectl_apply_k_would_apply() {
        let text = manifests(&args(&[])).expect("renders");
        for kind in [
            "CustomResourceDefinition",
            "Namespace",
            "Deployment",
            "ServiceAccount",
            "Service",
        ] {
            assert!(text.contains(&format!("\nkind: {kind}\n")), "{kind}");
        }
        assert!(text.contains("image: ghcr.io/towline/towline:0.1.0\n"));
        assert!(!text.contains("PodDisruptionBudget"));
    }

    #[test]
    fn parts_namespace_and_image_are_put_in() {
        let mut args = args(&[Part::Ha, Part::ServiceMonitor]);
        args.namespace = "gitops".into();
        args.image =
            Some(image("registry.example.com:5000/tools/towline:9@sha256:ab").expect("valid"));
        let text = manifests(&args).expect("renders");
        assert!(!text.contains("namespace: towline-system"), "{text}");
        assert!(text.contains("kind: Namespace\nmetadata:\n") && text.contains("  name: gitops\n"));
        assert!(
            text.contains("kind: PodDisruptionBudget\n") && text.contains("kind: ServiceMonitor\n")
        );
        assert!(
            text.contains("image: registry.example.com:5000/tools/towline"),
            "{text}"
        );
        assert!(text.contains("replicas: 2\n"));
    }

    #[test]
    fn all_rights_and_none_contradict() {
        assert!(manifests(&args(&[Part::ClusterAdmin, Part::TenantsOnly])).is_err());
        let fewer = manifests(&args(&[Part::TenantsOnly])).expect("renders");
        assert!(!fewer.contains("name: towline-impersonator\n  kind: ClusterRoleBinding"));
    }

    #[test]
    fn image_references_are_taken_apart() {
        let parts = |text: &str| {
            image(text).map(|i| {
                (
                    i.name,
                    i.tag.unwrap_or_default(),
                    i.digest.unwrap_or_default(),
                )
            })
        };
        let of = |a: &str, b: &str, c: &str| Ok((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(parts("towline"), of("towline", "", ""));
        assert_eq!(parts("host:5000/towline"), of("host:5000/towline", "", ""));
        assert_eq!(
            parts("host:5000/towline:1"),
            of("host:5000/towline", "1", "")
        );
        assert_eq!(parts("a/b:1@sha256:ff"), of("a/b", "1", "sha256:ff"));
        for wrong in ["", "a b", "a:", "a@", ":1", "a/", "a\n"] {
            assert!(image(wrong).is_err(), "{wrong}");
        }
        assert!(namespace("towline-system").is_ok());
        for wrong in ["", "A", "-a", "a-", "a.b"] {
            assert!(namespace(wrong).is_err(), "{wrong}");
        }
    }
}
