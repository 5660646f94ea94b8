//! The real API server, over kube's client.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use http::{HeaderValue, Method, Request};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde_json::{Value, json};
use tower::ServiceBuilder;

use super::throttle::{Slot, Throttle};
use super::{
    Cluster, Deleted, Discovery, Error, Identity, LogTail, MANAGER, Patch, Propagation, Put,
    Resource, STATUS_MANAGER, Target, WatchEvent, WatchScope, immutable, watch,
};
use crate::object::Object;

/// How long one request may take: above the 30 s after which the API server gives up on a slow
/// admission webhook, so that its answer, which names the webhook, is still read.
const REQUEST_LIMIT: Duration = Duration::from_secs(34);
/// So many objects are listed by one request.
const PAGE: usize = 500;
/// The most of a log that is read.
const LOG_BYTES: usize = 64 * 1024;
/// How often a request is sent again at once when the server is busy (429).
const BUSY_RETRIES: u32 = 4;
/// The longest Retry-After that is waited out inside a request.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// The API server's own Retry-After where it has too many requests: that answer is plain text, and
/// its headers do not get through kube's client.
const BUSY_DEFAULT: Duration = Duration::from_secs(1);

/// The Accept header that asks for aggregated discovery.
const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// A cluster that is reached through a kube client.
#[derive(Clone)]
pub struct KubeCluster {
    client: Client,
    throttle: Arc<Throttle>,
}

impl KubeCluster {
    /// A cluster behind this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            throttle: Arc::default(),
        }
    }

    /// One request: with a deadline, and again when the server is busy.
    async fn send(&self, who: &Identity, call: Call) -> Result<Value, Error> {
        let mut attempt = 0;
        loop {
            // The Lease never waits for others: without it everything would stop.
            let slot = match call.kind.as_str() {
                "Lease" => None,
                _ => Some(self.throttle.enter().await),
            };
            let answer = tokio::time::timeout(REQUEST_LIMIT, self.send_once(who, &call)).await;
            let result = match answer {
                Ok(result) => result,
                Err(_) => Err(Error::Timeout {
                    doing: call.doing.clone(),
                    limit: REQUEST_LIMIT,
                }),
            };
            match result {
                Err(Error::Refused {
                    code: 429,
                    retry_after,
                    ..
                }) if attempt < BUSY_RETRIES && retry_after.is_none_or(|w| w <= BUSY_WAIT) => {
                    slot.into_iter().for_each(Slot::refused);
                    attempt += 1;
                    tokio::time::sleep(retry_after.unwrap_or(BUSY_DEFAULT)).await;
                }
                result => {
                    slot.into_iter().for_each(Slot::answered);
                    return result;
                }
            }
        }
    }

    async fn send_once(&self, who: &Identity, call: &Call) -> Result<Value, Error> {
        let text = self.text(who, call).await?;
        serde_json::from_str(&text).map_err(|e| Error::Garbled {
            doing: call.doing.clone(),
            why: e.to_string(),
        })
    }

    async fn text(&self, who: &Identity, call: &Call) -> Result<String, Error> {
        let request = call.request(who)?;
        let answer = self.client.request_text(request).await;
        answer.map_err(|e| call.error(&e))
    }

    /// A client that does everything as `who`, over the same connection.
    fn client_as(&self, who: &Identity) -> Client {
        let Some(user) = who
            .user()
            .and_then(|user| HeaderValue::from_str(&user).ok())
        else {
            return self.client.clone();
        };
        let inner = self.client.clone();
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Body>| {
                request
                    .headers_mut()
                    .insert("Impersonate-User", user.clone());
                request
            })
            .service(tower::service_fn(move |request: Request<Body>| {
                let inner = inner.clone();
                async move { inner.send(request).await }
            }));
        Client::new(service, self.client.default_namespace())
    }
}

/// One request as data.
struct Call {
    method: Method,
    path: String,
    content_type: &'static str,
    accept: &'static str,
    body: Vec<u8>,
    doing: String,
    kind: String,
}

impl Call {
    fn new(method: Method, path: String, doing: String, kind: &str) -> Self {
        Self {
            method,
            path,
            content_type: "application/json",
            accept: "application/json",
            body: Vec::new(),
            doing,
            kind: kind.into(),
        }
    }

    fn to(
        method: Method,
        target: &Target,
        verb: &str,
        subresource: Option<&str>,
        query: &str,
    ) -> Self {
        let mut path = format!("{}/{}", target.collection_path(), encode(&target.name));
        if let Some(subresource) = subresource {
            path = format!("{path}/{subresource}");
        }
        if !query.is_empty() {
            path = format!("{path}?{query}");
        }
        Self::new(
            method,
            path,
            format!("{verb} {}", target.id()),
            &target.resource.gvk.kind,
        )
    }

    fn body(mut self, content_type: &'static str, body: &Value) -> Self {
        self.content_type = content_type;
        self.body = body.to_string().into_bytes();
        self
    }

    fn request(&self, who: &Identity) -> Result<Request<Vec<u8>>, Error> {
        let mut builder = Request::builder()
            .method(&self.method)
            .uri(&self.path)
            .header(http::header::ACCEPT, self.accept);
        if !self.body.is_empty() {
            builder = builder.header(http::header::CONTENT_TYPE, self.content_type);
        }
        if let Some(user) = who.user() {
            builder = builder.header("Impersonate-User", user);
        }
        builder.body(self.body.clone()).map_err(|e| Error::Garbled {
            doing: self.doing.clone(),
            why: e.to_string(),
        })
    }

    fn error(&self, error: &kube::Error) -> Error {
        match error {
            kube::Error::Api(status) => refused(self.doing.clone(), status, &self.kind),
            kube::Error::SerdeError(e) => Error::Garbled {
                doing: self.doing.clone(),
                why: e.to_string(),
            },
            other => Error::Unreachable {
                doing: self.doing.clone(),
                why: chain(other),
            },
        }
    }
}

impl Cluster for KubeCluster {
    fn discover(&self) -> BoxFuture<'_, Result<Discovery, Error>> {
        async move {
            let call = |path: &str| {
                let mut call = Call::new(Method::GET, path.into(), "discover kinds".into(), "");
                call.accept = AGGREGATED;
                call
            };
            let (core, groups) = futures::future::try_join(
                self.send(&Identity::Agent, call("/api")),
                self.send(&Identity::Agent, call("/apis")),
            )
            .await?;
            Ok(Discovery::from_aggregated([&core, &groups]))
        }
        .boxed()
    }

    fn get<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Option<Object>, Error>> {
        async move {
            match self
                .send(who, Call::to(Method::GET, target, "read", None, ""))
                .await
            {
                Ok(value) => Ok(Some(Object(value))),
                Err(error) if is_absence(&error, &target.name) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn pages<'a>(
        &'a self,
        who: &'a Identity,
        resource: &'a Resource,
        namespace: Option<&'a str>,
        selector: Option<&'a str>,
        page: &'a mut (dyn FnMut(Vec<Object>) + Send),
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let path = resource.path(namespace.unwrap_or_default());
            let doing = match namespace {
                Some(namespace) => format!("list {} in {namespace}", resource.plural),
                None => format!("list {}", resource.plural),
            };
            let mut token = String::new();
            loop {
                let mut query = format!("limit={PAGE}");
                if let Some(selector) = selector {
                    query = format!("{query}&labelSelector={}", encode(selector));
                }
                if !token.is_empty() {
                    query = format!("{query}&continue={}", encode(&token));
                }
                let call = Call::new(
                    Method::GET,
                    format!("{path}?{query}"),
                    doing.clone(),
                    &resource.gvk.kind,
                );
                let mut answer = self.send(who, call).await?;
                if let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) {
                    page(
                        items
                            .into_iter()
                            .map(|item| typed(item, resource))
                            .collect(),
                    );
                }
                match answer.pointer("/metadata/continue").and_then(Value::as_str) {
                    Some(next) if !next.is_empty() => token = next.into(),
                    _ => return Ok(()),
                }
            }
        }
        .boxed()
    }

    fn apply<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        async move {
            let mut query = format!("fieldManager={MANAGER}&force=true&fieldValidation=Strict");
            if dry_run {
                query.push_str("&dryRun=All");
            }
            let call = Call::to(Method::PATCH, target, "apply", None, &query)
                .body("application/apply-patch+yaml", &body.0);
            self.send(who, call).await.map(Object)
        }
        .boxed()
    }

    fn patch<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        subresource: Option<&'a str>,
        patch: &'a Patch,
        manager: &'a str,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        async move {
            let query = format!("fieldManager={manager}");
            let call = Call::to(Method::PATCH, target, "patch", subresource, &query);
            let call = match patch {
                Patch::Json(body) => call.body("application/json-patch+json", body),
                Patch::Merge(body) => call.body("application/merge-patch+json", body),
            };
            self.send(who, call).await.map(Object)
        }
        .boxed()
    }

    fn create<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        async move {
            let path = format!("{}?fieldManager={STATUS_MANAGER}", target.collection_path());
            let doing = format!("create {}", target.id());
            let call = Call::new(Method::POST, path, doing, &target.resource.gvk.kind)
                .body("application/json", &body.0);
            self.send(who, call).await.map(Object)
        }
        .boxed()
    }

    fn replace<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        async move {
            let query = format!("fieldManager={STATUS_MANAGER}");
            let call = Call::to(Method::PUT, target, "replace", None, &query)
                .body("application/json", &body.0);
            self.send(who, call).await.map(Object)
        }
        .boxed()
    }

    fn put<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        body: &'a Object,
        how: Put,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<Object, Error>> {
        async move {
            let mut query = format!("fieldManager={MANAGER}&fieldValidation=Strict");
            if dry_run {
                query.push_str("&dryRun=All");
            }
            let call = match how {
                Put::Create => {
                    let path = format!("{}?{query}", target.collection_path());
                    let doing = format!("create {}", target.id());
                    Call::new(Method::POST, path, doing, &target.resource.gvk.kind)
                }
                Put::Replace => Call::to(Method::PUT, target, "replace", None, &query),
            };
            let call = call.body("application/json", &body.0);
            self.send(who, call).await.map(Object)
        }
        .boxed()
    }

    fn delete<'a>(
        &'a self,
        who: &'a Identity,
        target: &'a Target,
        uid: &'a str,
        propagation: Propagation,
    ) -> BoxFuture<'a, Result<Deleted, Error>> {
        async move {
            let options = json!({
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "preconditions": {"uid": uid},
                "propagationPolicy": match propagation {
                    Propagation::Background => "Background",
                    Propagation::Foreground => "Foreground",
                    Propagation::Orphan => "Orphan",
                },
            });
            let call = Call::to(Method::DELETE, target, "delete", None, "")
                .body("application/json", &options);
            match self.send(who, call).await {
                // The server answers with the object while something keeps it, else with a Status.
                Ok(answer) if answer.pointer("/metadata/deletionTimestamp").is_some() => {
                    Ok(Deleted::Terminating)
                }
                Ok(_) => Ok(Deleted::Gone),
                Err(error) if is_absence(&error, &target.name) => Ok(Deleted::Absent),
                Err(error) if error.is_conflict() => Ok(Deleted::OtherUid),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn log<'a>(
        &'a self,
        who: &'a Identity,
        pod: &'a Target,
        tail: &'a LogTail,
    ) -> BoxFuture<'a, Result<String, Error>> {
        async move {
            let query = format!(
                "container={}&previous={}&tailLines={}&limitBytes={LOG_BYTES}",
                encode(&tail.container),
                tail.previous,
                tail.lines
            );
            let mut call = Call::to(Method::GET, pod, "read the log of", Some("log"), &query);
            call.accept = "*/*";
            let answer = tokio::time::timeout(REQUEST_LIMIT, self.text(who, &call)).await;
            answer.unwrap_or_else(|_| {
                Err(Error::Timeout {
                    doing: call.doing.clone(),
                    limit: REQUEST_LIMIT,
                })
            })
        }
        .boxed()
    }

    fn watch(
        &self,
        who: &Identity,
        scope: &WatchScope,
    ) -> BoxStream<'static, Result<WatchEvent, Error>> {
        watch::watch(self.client_as(who), scope)
    }
}

/// An item of a list with the `apiVersion` and `kind` that lists leave out.
pub(super) fn typed(mut item: Value, resource: &Resource) -> Object {
    if let Value::Object(map) = &mut item {
        map.insert("apiVersion".into(), resource.gvk.api_version().into());
        map.insert("kind".into(), resource.gvk.kind.clone().into());
    }
    Object(item)
}

/// Absence is a Status of reason NotFound for the very name that was asked for. A 404 of a removed
/// CRD, of a proxy or of a broken aggregated API says nothing about the object.
fn is_absence(error: &Error, name: &str) -> bool {
    matches!(error, Error::Refused { code: 404, server_reason, message, .. }
        if server_reason == "NotFound" && message.contains(&format!("\"{name}\" not found")))
}

/// The server's refusal. For a Secret only the fields that are wrong are kept: the server's
/// messages quote values.
pub(super) fn refused(doing: String, status: &Status, kind: &str) -> Error {
    let details = status.details.as_ref();
    let message = if let Some(fields) = immutable::fields(status, kind) {
        fields
    } else if kind == "Secret" && matches!(status.code, 400 | 422 | 500) {
        let fields: Vec<&str> = details
            .iter()
            .flat_map(|d| &d.causes)
            .map(|c| c.field.as_str())
            .collect();
        let word = if status.reason.is_empty() {
            "ServerError"
        } else {
            &status.reason
        };
        format!(
            "{word}: {} (values of Secrets are not shown)",
            fields.join(", ")
        )
    } else {
        one_line(&status.message)
    };
    Error::Refused {
        doing,
        code: status.code,
        server_reason: status.reason.clone(),
        message,
        retry_after: details
            .map(|d| d.retry_after_seconds)
            .filter(|seconds| *seconds > 0 && status.code == 429)
            .map(|seconds| Duration::from_secs(u64::from(seconds))),
    }
}

/// An error and its causes in one line, each said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    one_line(&text)
}

/// Text of a server without line breaks or control characters, at most 1 KiB.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(1024)
        .collect()
}

/// Percent-encodes what is not unreserved in a URL.
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_not_found_of_the_very_name_is_absence() {
        let not_found = |message: &str, reason: &str| Error::Refused {
            doing: String::new(),
            code: 404,
            server_reason: reason.into(),
            message: message.into(),
            retry_after: None,
        };
        assert!(is_absence(
            &not_found("deployments.apps \"web\" not found", "NotFound"),
            "web"
        ));
        assert!(!is_absence(
            &not_found("namespaces \"shop\" not found", "NotFound"),
            "web"
        ));
        let gone = not_found(
            "the server could not find the requested resource",
            "NotFound",
        );
        assert!(!is_absence(&gone, "web"));
        assert!(!is_absence(&not_found("404 page not found", ""), "web"));
    }

    #[test]
    fn an_error_about_a_secret_shows_no_value() {
        let mut status = Status::failure(
            "Secret \"db\" is invalid: data[x]: Invalid value: \"hunter2\"",
            "Invalid",
        );
        status.code = 422;
        let error = refused("apply Secret/shop/db".into(), &status, "Secret");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
