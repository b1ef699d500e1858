//! Whether to log that a configuration was refused. Pure.
//!
//! For one request to a route with a refused configuration, APISIX configures the route twice: before the request,
//! and before it answers 503. Nothing else in the module runs in between. The second refusal is not news.

/// The last refusal that was logged, and the number of the entry before it.
#[derive(Debug, Default)]
pub struct Refused(Option<(String, u64)>);

impl Refused {
    /// Creates a record without a refusal.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Returns whether to log that a configuration is refused because of `problem`. `entry` is the number of the last
    /// entry for a request.
    pub fn is_news(&mut self, problem: &str, entry: u64) -> bool {
        let is_second = self.0.take().is_some_and(|told| told.0 == problem && told.1 == entry);
        if !is_second {
            self.0 = Some((problem.to_owned(), entry));
        }
        !is_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_refusal_for_one_request_is_no_news_and_the_next_one_is() {
        let mut refused = Refused::new();
        let told = [("a", 1), ("a", 1), ("a", 1), ("a", 1), ("b", 1), ("a", 1), ("a", 2), ("a", 2)];
        let told = told.map(|(problem, entry)| refused.is_news(problem, entry));
        assert_eq!(told, [true, false, true, false, true, true, true, false]);
    }
}
