//! What can go wrong with a request to the API server, said so that a person can act on it.

use std::time::Duration;

use crate::error::{Class, Fault};

/// A request that did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be reached, or the connection broke.
    #[error("failed to {doing}: the API server cannot be reached: {why}")]
    Unreachable {
        /// What was being done, such as `apply Deployment/shop/web`.
        doing: String,
        /// The cause, in one line.
        why: String,
    },
    /// No answer in time.
    #[error("failed to {doing}: the API server did not answer within {limit:?}")]
    Timeout {
        /// What was being done.
        doing: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The server refused.
    #[error("failed to {doing}: {message}")]
    Refused {
        /// What was being done.
        doing: String,
        /// HTTP status.
        code: u16,
        /// The server's own reason word; empty where it gave none.
        server_reason: String,
        /// The server's message, without the values of a Secret.
        message: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server's answer was not what the protocol promises.
    #[error("failed to {doing}: the API server's answer cannot be read: {why}")]
    Garbled {
        /// What was being done.
        doing: String,
        /// The cause, in one line.
        why: String,
    },
}

impl Error {
    /// True when the server says that the caller may not do this.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { code: 403, .. })
    }

    /// True when the object is there already, or changed since it was read.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }

    /// True when the server says that something in the path does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// True when an admission webhook does not take part in dry runs.
    pub fn is_without_dry_run(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("does not support dry run"))
    }
}

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Garbled { .. } => Class::Retry,
            Self::Refused {
                retry_after: Some(wait),
                ..
            } => Class::Wait(*wait),
            // A schema error of server-side apply comes back as 500 with an empty reason.
            Self::Refused { code: 500.., .. } if self.reason() != "SchemaMismatch" => Class::Retry,
            Self::Refused {
                code: 401 | 408 | 409 | 429,
                ..
            } => Class::Retry,
            Self::Refused { .. } => Class::Stalled,
        }
    }

    fn reason(&self) -> &'static str {
        let Self::Refused { code, message, .. } = self else {
            return match self {
                Self::Timeout { .. } => "ServerTimeout",
                Self::Garbled { .. } => "ServerAnswerGarbled",
                _ => "ServerUnreachable",
            };
        };
        if message.contains("failed to create typed patch object")
            || message.contains("field not declared in schema")
        {
            return "SchemaMismatch";
        }
        if super::immutable::is_said(message) {
            return "ImmutableField";
        }
        if message.contains("admission webhook") {
            return "WebhookDenied";
        }
        match code {
            401 => "Unauthorized",
            403 if message.contains("is being terminated") => "NamespaceTerminating",
            403 => "Forbidden",
            404 if message.contains("namespaces ") => "NamespaceNotFound",
            404 => "KindNotServed",
            409 => "Conflict",
            400 | 422 => "Invalid",
            429 => "Throttled",
            _ => "ServerError",
        }
    }
}

/// What to do about an error of this reason, for the person who reads the status.
pub fn remedy(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "Forbidden" => {
            "grant this right to the identity that is named, or set spec.serviceAccountName to one that has it"
        }
        "NamespaceNotFound" => {
            "declare the Namespace in Git, or set syncOptions: [CreateNamespace=true]"
        }
        "ImmutableField" => {
            "the API server does not change this field: let towline create the object anew (the annotation towline.dev/force: enabled on it, or spec.immutableFields: Recreate), or give the object a new name"
        }
        "KindNotServed" => {
            "install the CRD that defines this kind, or declare it in the same revision"
        }
        "SchemaMismatch" | "Invalid" => {
            "correct the manifest; the last good state stays enforced meanwhile"
        }
        "WebhookDenied" => "satisfy the policy of the webhook that is named, or ask its owner",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> Error {
        Error::Refused {
            doing: "apply Deployment/shop/web".into(),
            code,
            server_reason: String::new(),
            message: message.into(),
            retry_after: None,
        }
    }

    #[test]
    fn a_schema_error_is_for_a_person_although_it_is_a_500() {
        let error = refused(
            500,
            "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.nope: field not declared in schema",
        );
        assert_eq!(
            (error.class(), error.reason()),
            (Class::Stalled, "SchemaMismatch")
        );
        let error = refused(500, "etcdserver: leader changed");
        assert_eq!(
            (error.class(), error.reason()),
            (Class::Retry, "ServerError")
        );
    }

    #[test]
    fn reasons_are_told_apart() {
        for (code, message, reason) in [
            (404, "namespaces \"shop\" not found", "NamespaceNotFound"),
            (
                403,
                "deployments.apps is forbidden: User \"x\" cannot patch",
                "Forbidden",
            ),
            (
                422,
                "spec.selector: Invalid value: field is immutable",
                "ImmutableField",
            ),
            (422, "spec.ports[0].port: Required value", "Invalid"),
        ] {
            assert_eq!(refused(code, message).reason(), reason);
        }
    }
}
