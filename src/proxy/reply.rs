//! The statuses that every proxy can send to a client.

/// Returns the status to send for a denial. nginx gives 444 and 499 a meaning of its own (it closes the connection
/// without an answer), and does not accept statuses below 200 or above 599.
#[must_use]
pub const fn sendable_status(status: u16) -> u16 {
    match status {
        444 | 499 => 403,
        200..=599 => status,
        _ => 503,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_nginx_does_not_send_becomes_one_that_denies_too() {
        for (status, sent) in [
            (200, 200),
            (302, 302),
            (401, 401),
            (444, 403),
            (499, 403),
            (599, 599),
            (0, 503),
            (103, 503),
            (600, 503),
        ] {
            assert_eq!(sendable_status(status), sent, "{status}");
        }
    }
}
