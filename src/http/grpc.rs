//! Denials of gRPC requests: the gRPC status for the client, where the proxy can send one. Envoy answers a gRPC
//! request with HTTP 200, the status in `grpc-status` and the body in `grpc-message`.

use super::error_code::ErrorCode;
use crate::http::Head;

/// Returns whether a request is gRPC: its `Content-Type` is `application/grpc`, perhaps with a `+format` or
/// parameters.
#[must_use]
pub fn is_grpc(head: &Head<'_>) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    head.values(b"content-type").next().is_some_and(|value| {
        value.trim_ascii().split_at_checked(GRPC.len()).is_some_and(|(media_type, rest)| {
            media_type.eq_ignore_ascii_case(GRPC)
                && matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';'))
        })
    })
}

/// The gRPC status of a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The request cannot be understood.
    InvalidArgument,
    /// The session does not suffice.
    PermissionDenied,
    /// No auth server is available.
    Unavailable,
    /// The request has no valid session.
    Unauthenticated,
}

impl Status {
    /// Returns the gRPC status for a denial with this HTTP status.
    #[must_use]
    pub const fn of(http: u16) -> Self {
        match ErrorCode::of_status(http) {
            ErrorCode::Forbidden if http == 407 => Self::Unauthenticated,
            // gRPC clients do not follow redirects to a login page.
            ErrorCode::Unauthorized => Self::Unauthenticated,
            ErrorCode::BadRequest | ErrorCode::TooLarge => Self::InvalidArgument,
            ErrorCode::Forbidden | ErrorCode::Misdirected => Self::PermissionDenied,
            ErrorCode::Unavailable => Self::Unavailable,
        }
    }

    /// Returns the status number.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::InvalidArgument => 3,
            Self::PermissionDenied => 7,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// Returns the message for the client. It becomes a header, so it replaces the denial's body, which may be a
    /// page.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::InvalidArgument => "the request cannot be understood",
            Self::PermissionDenied => "the request is not allowed",
            Self::Unavailable => "the authentication service cannot be reached; try again later",
            Self::Unauthenticated => "a valid session is needed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_request_is_known_by_its_content_type() {
        let cases: &[(Option<&[u8]>, bool)] = &[
            (Some(b"application/grpc"), true),
            (Some(b"Application/gRPC"), true),
            (Some(b"application/grpc+proto"), true),
            (Some(b"application/grpc;charset=utf-8"), true),
            (Some(b" application/grpc ; x"), true),
            (Some(b"application/grpc-web"), false),
            (Some(b"application/grpc-web+proto"), false),
            (Some(b"application/grpcx"), false),
            (Some(b"application/json"), false),
            (Some(b"application/grp"), false),
            (Some(b"\xff"), false),
            (Some(b""), false),
            (None, false),
        ];
        for (value, expected) in cases {
            let fields: Vec<_> = value.iter().map(|value| (b"content-type".as_slice(), *value)).collect();
            let head = Head {
                method: b"POST",
                scheme: b"http",
                authority: b"app",
                path: b"/Service/Method",
                fields: &fields,
                client_address: &|| None,
            };
            assert_eq!(is_grpc(&head), *expected, "{}", value.unwrap_or_default().escape_ascii());
        }
    }

    #[test]
    fn every_denial_has_a_status_that_clients_of_grpc_act_on() {
        let cases = [
            (401, 16),
            (302, 16),
            (307, 16),
            (403, 7),
            (404, 7),
            (429, 7),
            (400, 3),
            (413, 3),
            (431, 3),
            (500, 14),
            (503, 14),
            (599, 14),
        ];
        for (http, code) in cases {
            let status = Status::of(http);
            assert_eq!(status.code(), code, "{http}");
            assert!(!status.message().is_empty());
        }
    }
}
