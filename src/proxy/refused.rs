//! Whether the refusal of a configuration is told in the log. Pure.
//!
//! APISIX configures a route twice for one request whose configuration is refused: before the request, and once more
//! before the 503 that it answers. Nothing else of the module runs between the two. The second says nothing new.

/// The refusal that was told last, and the number of the entry before it.
#[derive(Debug, Default)]
pub struct Refused(Option<(String, u64)>);

impl Refused {
    /// None so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Whether to tell that a configuration is refused because of `problem`. `entry` is the number of the last entry
    /// for a request.
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
