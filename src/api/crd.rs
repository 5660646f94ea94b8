//! The CustomResourceDefinition, made from the Rust types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

use super::Application;

/// The CRD of `applications.towline.dev`: what `manifests/crd.yaml` holds (a test compares them).
pub fn crd() -> CustomResourceDefinition {
    Application::crd()
}
