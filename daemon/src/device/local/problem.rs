//! How the local API says no: RFC 9457 problems with a closed set of names.
//!
//! Refuses to echo what a client sent beyond names that it could have read in the documentation.

use postern_protocol::Reject;
use postern_protocol::revision::Revision;
use serde_json::{Value as Json, json};

/// Why a request is not done; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// 404: there is no such resource.
    NotFound,
    /// 404: nothing stands at this path or below it.
    PathAbsent,
    /// 405: the resource does not know this method.
    MethodNotAllowed {
        /// The methods that it knows, as the `Allow` header wants them.
        allow: &'static str,
    },
    /// 400: the request cannot be understood.
    Malformed(String),
    /// 411: a body without its length.
    LengthRequired,
    /// 413: a body that is too large.
    ContentTooLarge,
    /// 408: a body that came too slowly or broke off.
    BodySlow,
    /// 403: only the user who runs the device may do this.
    OwnerOnly,
    /// 403: these paths are written by the device itself.
    PathReserved,
    /// 409: the result is not for the revision that is being applied.
    ResultStale {
        /// The revision whose result is awaited, if any.
        awaited: Option<Revision>,
    },
    /// 409: device.toml leaves applying to files and `on_change`, or an intent to a command.
    NotYours,
    /// 404: no such intent waits to be done.
    IntentAbsent,
    /// 409: the device already does what would be needed.
    Busy(&'static str),
    /// 422: the engine refused the write.
    Refused(Reject),
    /// 503: too many questions at once.
    Overloaded,
    /// 503: the device is stopping.
    Stopping,
}

impl Problem {
    /// Returns HTTP status, stable name and title.
    const fn parts(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NotFound => (404, "not-found", "there is no such resource"),
            Self::PathAbsent => (
                404,
                "path-absent",
                "nothing stands at this path or below it",
            ),
            Self::MethodNotAllowed { .. } => (
                405,
                "method-not-allowed",
                "this resource does not know the method",
            ),
            Self::Malformed(_) => (400, "request-malformed", "the request cannot be understood"),
            Self::LengthRequired => (411, "length-required", "a body needs a Content-Length"),
            Self::ContentTooLarge => (413, "content-too-large", "a body has at most 2 MiB"),
            Self::BodySlow => (408, "body-slow", "the body came too slowly or broke off"),
            Self::OwnerOnly => (
                403,
                "owner-only",
                "only the user who runs the device may do this",
            ),
            Self::PathReserved => (
                403,
                "path-reserved",
                "sections intent and postern are written by the device itself",
            ),
            Self::ResultStale { .. } => {
                (409, "result-stale", "no result of this revision is awaited")
            }
            Self::NotYours => (
                409,
                "not-application",
                "device.toml does not leave this to the application",
            ),
            Self::IntentAbsent => (404, "intent-absent", "no such intent waits to be done"),
            Self::Busy(_) => (409, "busy", "the device is doing this already"),
            Self::Refused(reject) => (422, reject.as_str(), reject.sentence()),
            Self::Overloaded => (503, "overloaded", "too many questions at once"),
            Self::Stopping => (503, "stopping", "the device is stopping"),
        }
    }

    /// Returns the HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.parts().0
    }

    /// Returns the stable name, which is the end of the problem's type.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.parts().1
    }

    /// Returns the body.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let (status, name, title) = self.parts();
        let mut json = json!({
            "type": format!("urn:postern:problem:{name}"),
            "title": title,
            "status": status,
        });
        let detail = match self {
            Self::Malformed(detail) => Some(detail.clone()),
            Self::Busy(detail) => Some((*detail).to_owned()),
            Self::ResultStale {
                awaited: Some(Revision { epoch, seq }),
            } => Some(format!("the result of {epoch}.{seq} is awaited")),
            Self::ResultStale { awaited: None } => Some("nothing is being applied".into()),
            Self::NotFound
            | Self::PathAbsent
            | Self::MethodNotAllowed { .. }
            | Self::LengthRequired
            | Self::ContentTooLarge
            | Self::BodySlow
            | Self::OwnerOnly
            | Self::PathReserved
            | Self::NotYours
            | Self::IntentAbsent
            | Self::Refused(_)
            | Self::Overloaded
            | Self::Stopping => None,
        };
        if let (Some(members), Some(detail)) = (json.as_object_mut(), detail) {
            members.insert("detail".into(), detail.into());
        }
        json
    }
}
