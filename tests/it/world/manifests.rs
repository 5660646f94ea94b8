//! Small manifests.

/// A ConfigMap with one value.
pub fn config_map(name: &str, value: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
data:
  value: \"{value}\"
"
    )
}

/// A ConfigMap with one value and one annotation.
pub fn annotated(name: &str, value: &str, key: &str, annotation: &str) -> String {
    let annotations = format!("metadata:\n  annotations:\n    {key}: \"{annotation}\"\n");
    config_map(name, value).replace("metadata:\n", &annotations)
}

/// A Deployment with one container `web`; without `replicas` where they are none.
pub fn deployment(name: &str, replicas: Option<u32>, image: &str) -> String {
    let replicas = replicas
        .map(|n| format!("\n  replicas: {n}"))
        .unwrap_or_default();
    format!(
        "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:{replicas}
  selector:
    matchLabels:
      app: {name}
  template:
    metadata:
      labels:
        app: {name}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: {image}
          ports:
            - containerPort: 8080
"
    )
}

/// A Service with one port.
pub fn service(name: &str, port: u16) -> String {
    format!(
        "\
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  selector:
    app: {name}
  ports:
    - port: {port}
      targetPort: 8080
"
    )
}

/// A Secret with one value, in clear text.
pub fn secret(name: &str, value: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: Secret
metadata:
  name: {name}
stringData:
  password: \"{value}\"
"
    )
}

/// A CustomResourceDefinition of a namespaced kind `Widget` in this group.
pub fn widget_crd(group: &str) -> String {
    format!(
        "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.{group}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                size: {{type: integer}}
"
    )
}

/// A custom resource of that kind.
pub fn widget(group: &str, name: &str) -> String {
    format!(
        "\
apiVersion: {group}/v1
kind: Widget
metadata:
  name: {name}
spec:
  size: 1
"
    )
}
