//! The body of a denial that the filter makes itself: JSON, never empty.

/// The kind of a denial, as the client reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// `unauthorized`
    Unauthorized,
    /// `forbidden`
    Forbidden,
    /// `bad_request`
    BadRequest,
    /// `too_large`
    TooLarge,
    /// `misdirected`
    Misdirected,
    /// `unavailable`
    Unavailable,
}

impl ErrorCode {
    /// Returns the kind that belongs to a status.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            300..=399 | 401 => Self::Unauthorized,
            400 => Self::BadRequest,
            413 | 414 | 431 => Self::TooLarge,
            402..=499 => Self::Forbidden,
            _ => Self::Unavailable,
        }
    }

    /// Returns the body of a denial.
    #[must_use]
    pub fn body(self, message: &str) -> Vec<u8> {
        serde_json::json!({"error": self.word(), "message": message}).to_string().into_bytes()
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::Misdirected => "misdirected",
            Self::Unavailable => "unavailable",
        }
    }
}
