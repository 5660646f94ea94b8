//! The cluster: one of our own, or one of the kubeconfig. Everything in it is done with kubectl.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use towline_testcluster::ControlPlane;

use crate::story::Story;

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests");
/// Names of cluster scope in the manifests. In a cluster that is not ours each run has its own.
const ROLES: [&str; 5] = [
    "towline-agent",
    "towline-impersonator",
    "towline-workloads",
    "towline-view",
    "towline-edit",
];

/// A cluster, and what the demo calls its own in it.
pub struct Cluster {
    plane: Option<ControlPlane>,
    context: Option<String>,
    kubectl: PathBuf,
    /// Ends the names of a run in a cluster that is not ours; empty in our own.
    run: String,
    namespace: String,
    shop: String,
    /// The CRD was not there before.
    owns_crd: bool,
}

impl Cluster {
    /// Starts a control plane, after building it where this machine has none yet.
    pub fn start() -> anyhow::Result<Self> {
        let plane = ControlPlane::builder().nodes(2).start()?;
        plane.wait_nodes()?;
        Ok(Self {
            plane: Some(plane),
            context: None,
            kubectl: towline_testcluster::kubectl()?,
            run: String::new(),
            namespace: "towline-system".into(),
            shop: "shop-dev".into(),
            owns_crd: true,
        })
    }

    /// The cluster of a kubeconfig context, if no other towline is in it.
    pub fn existing(context: &str) -> anyhow::Result<Self> {
        let run = format!("-demo-{:x}", std::process::id());
        let mut cluster = Self {
            plane: None,
            context: Some(context.into()),
            kubectl: "kubectl".into(),
            namespace: format!("towline{run}"),
            shop: format!("shop-dev{run}"),
            run,
            owns_crd: false,
        };
        let crd = [
            "get",
            "crd",
            "applications.towline.dev",
            "--ignore-not-found",
            "-o",
            "name",
        ];
        cluster.owns_crd = cluster.kubectl(&crd)?.is_empty();
        if !cluster.owns_crd {
            let found = cluster.kubectl(&["get", "tl", "-A", "-o", "name"])?;
            ensure!(
                found.is_empty(),
                "the cluster of context {context} has towline's Applications: its agent and the demo's \
                 would get into each other's way; choose another cluster"
            );
        }
        Ok(cluster)
    }

    /// The agent's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The namespace of what is deployed.
    pub fn shop(&self) -> &str {
        &self.shop
    }

    /// The agent, as the API server sees it.
    pub fn agent_user(&self) -> String {
        format!("system:serviceaccount:{}:towline", self.namespace)
    }

    /// The version of the API server.
    pub fn version(&self) -> anyhow::Result<String> {
        let version: Value = serde_json::from_str(&self.kubectl(&["version", "-o", "json"])?)?;
        Ok(version["serverVersion"]["gitVersion"]
            .as_str()
            .unwrap_or("?")
            .to_owned())
    }

    /// Its URL.
    pub fn server(&self) -> anyhow::Result<String> {
        let path = "jsonpath={.clusters[0].cluster.server}";
        self.kubectl(&["config", "view", "--minify", "-o", path])
    }

    /// What a person types so that kubectl talks to it.
    pub fn environment(&self) -> Vec<String> {
        match (&self.plane, &self.context) {
            (Some(plane), _) => vec![
                format!("export KUBECONFIG={}", plane.kubeconfig().display()),
                format!(
                    "alias kubectl={}   # unless you have one",
                    self.kubectl.display()
                ),
            ],
            (None, context) => {
                let context = context.as_deref().unwrap_or_default();
                vec![format!("kubectl config use-context {context}")]
            }
        }
    }

    /// A connection with the rights of whoever runs the demo.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        Ok(match &self.plane {
            Some(plane) => towline::cluster::connect_with(&plane.kubeconfig()).await?,
            None => towline::cluster::connect(self.context.as_deref()).await?,
        })
    }

    /// A manifest of the checkout with the names of this run.
    pub fn localise(&self, text: &str) -> String {
        let mut text = text.replace("towline-system", &self.namespace).replace(
            "namespace: shop-dev\n",
            &format!("namespace: {}\n", self.shop),
        );
        for role in ROLES {
            text = text.replace(
                &format!("name: {role}\n"),
                &format!("name: {role}{}\n", self.run),
            );
        }
        text
    }

    /// Installs towline, but for its Deployment: the demo itself is the agent.
    pub fn install(&self) -> anyhow::Result<()> {
        if self.owns_crd {
            let crd = manifest("crd.yaml")?;
            self.kubectl_with(&["apply", "--server-side", "-f", "-"], &crd)?;
            self.kubectl(&[
                "wait",
                "--for=condition=Established",
                "crd/applications.towline.dev",
            ])?;
        }
        self.kubectl_with(
            &["apply", "--server-side", "-f", "-"],
            &self.installation()?,
        )?;
        Ok(())
    }

    fn installation(&self) -> anyhow::Result<String> {
        let files = ["namespace.yaml", "service-account.yaml", "rbac.yaml"];
        let texts: Result<Vec<String>, _> = files.into_iter().map(manifest).collect();
        Ok(self.localise(&texts?.join("\n---\n")))
    }

    /// A kubeconfig that holds a token of the agent's ServiceAccount and nothing of ours.
    pub fn agent_kubeconfig(&self) -> anyhow::Result<String> {
        let token = [
            "-n",
            &self.namespace,
            "create",
            "token",
            "towline",
            "--duration=8h",
        ];
        let token = self.kubectl(&token)?;
        let view = [
            "config",
            "view",
            "--minify",
            "--flatten",
            "--raw",
            "-o",
            "json",
        ];
        let mut config: Value = serde_json::from_str(&self.kubectl(&view)?)?;
        let user = config["contexts"][0]["context"]["user"].clone();
        config["users"] = json!([{"name": user, "user": {"token": token.trim()}}]);
        Ok(config.to_string())
    }

    /// Deletes the Applications while the agent still runs. What they deployed stays until
    /// [`Self::clean_up`].
    pub fn let_go(&self) -> anyhow::Result<()> {
        if self.plane.is_none() {
            self.kubectl(&["-n", &self.namespace, "delete", "tl", "--all"])?;
        }
        Ok(())
    }

    /// Deletes all that the demo created in a cluster that is not its own.
    pub fn clean_up(&self, story: &Story) -> anyhow::Result<()> {
        if self.plane.is_some() {
            return Ok(());
        }
        let begun = std::time::Instant::now();
        self.kubectl(&["delete", "namespace", &self.shop, "--ignore-not-found"])?;
        let delete = ["delete", "--ignore-not-found", "-f", "-"];
        self.kubectl_with(&delete, &self.installation()?)?;
        if self.owns_crd {
            self.kubectl_with(&delete, &manifest("crd.yaml")?)?;
        }
        story.done("deleted what the demo created", begun);
        Ok(())
    }

    /// Runs kubectl and returns what it printed.
    pub fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.kubectl_with(args, "")
    }

    /// Runs kubectl with input.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        let doing = || format!("running kubectl {}", args.join(" "));
        let mut command = match &self.plane {
            Some(plane) => plane.kubectl_command()?,
            None => Command::new(&self.kubectl),
        };
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        let mut child = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(doing)?;
        if let Some(mut stdin) = child.stdin.take() {
            // kubectl may end early, and its own message is better than "broken pipe".
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().with_context(doing)?;
        if !output.status.success() {
            bail!(
                "{}: {}",
                doing(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn manifest(name: &str) -> anyhow::Result<String> {
    let path = format!("{MANIFESTS}/{name}");
    fs::read_to_string(&path).with_context(|| format!("reading {path}"))
}
