//! Trees of services, as people have them: a base and an overlay, five objects a service.

use towline_testcluster::GitRepo;

/// Objects of one service: Deployment, Service, ServiceAccount, ConfigMap, PodDisruptionBudget.
pub const OBJECTS: usize = 5;

/// Writes `services` services below `base/`, one file each, and their kustomization.
pub fn base(repo: &GitRepo, services: usize) -> anyhow::Result<()> {
    let mut kustomization = "resources:\n".to_owned();
    for number in 0..services {
        repo.write(&format!("base/s{number}.yaml"), &service(number, "1.0.0"))?;
        kustomization.push_str(&format!("  - s{number}.yaml\n"));
    }
    Ok(repo.write("base/kustomization.yaml", &kustomization)?)
}

/// An overlay of the base in a namespace of its own, with one ConfigMap more: one object over the
/// services.
pub fn overlay(repo: &GitRepo, namespace: &str) -> anyhow::Result<()> {
    let kustomization = format!(
        "namespace: {namespace}\nresources: [../../base, settings.yaml]\n\
         labels:\n  - pairs: {{app.kubernetes.io/part-of: shop}}\n"
    );
    repo.write(
        &format!("overlays/{namespace}/kustomization.yaml"),
        &kustomization,
    )?;
    let settings =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {region: north}\n";
    Ok(repo.write(&format!("overlays/{namespace}/settings.yaml"), settings)?)
}

/// One service at a version.
pub fn service(number: usize, version: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: s{number}
  labels: {{app.kubernetes.io/name: s{number}, app.kubernetes.io/version: \"{version}\"}}
spec:
  replicas: 1
  selector:
    matchLabels: {{app.kubernetes.io/name: s{number}}}
  template:
    metadata:
      labels: {{app.kubernetes.io/name: s{number}}}
    spec:
      serviceAccountName: s{number}
      containers:
        - name: server
          image: registry.example.com/shop/s{number}:{version}
          args: [--listen=:8080, --log-level=info]
          env:
            - name: GREETING
              valueFrom: {{configMapKeyRef: {{name: s{number}, key: greeting}}}}
          ports:
            - {{name: http, containerPort: 8080}}
          readinessProbe:
            httpGet: {{path: /ready, port: http}}
          resources:
            requests: {{cpu: 10m, memory: 32Mi}}
            limits: {{memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata:
  name: s{number}
spec:
  selector: {{app.kubernetes.io/name: s{number}}}
  ports:
    - {{name: http, port: 80, targetPort: http}}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: s{number}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: s{number}
data:
  greeting: hello from s{number}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: s{number}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{app.kubernetes.io/name: s{number}}}
"
    )
}
