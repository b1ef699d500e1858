//! All properties, tried by proptest: first what once broke one of them, then inputs made at random.
//!
//! `FUZZ_EXECUTIONS` says how many inputs each target gets, `FUZZ_SEED` which; `make fuzz` sets both. A failure prints the
//! smallest input that shows it as a line for `regressions/`.

#[cfg(test)]
mod properties {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Once;
    use std::time::Instant;

    use fuzz::TARGETS;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

    /// The longest input: some fifty events of the state machine.
    const LONGEST: usize = 400;

    fn number(name: &str, otherwise: u64) -> u64 {
        std::env::var(name).ok().and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(otherwise)
    }

    /// Most choices of a target are between few things, and zeros are what is ordinary.
    fn inputs() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => vec(any::<u8>(), 0..LONGEST),
            2 => vec(0_u8..16, 0..LONGEST),
            1 => vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..LONGEST),
            1 => vec(any::<u8>(), 0..40),
        ]
    }

    thread_local! {
        /// Whether panics of this thread are told: of the many of one search, the last one alone.
        static IS_TOLD: Cell<bool> = const { Cell::new(true) };
    }

    /// Has only those panics told that are to be.
    fn hush() {
        static HUSH: Once = Once::new();
        HUSH.call_once(|| {
            let tell = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if IS_TOLD.get() {
                    tell(panic);
                }
            }));
        });
    }

    fn holds(name: &str) {
        hush();
        let (_, check) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target");
        for (line, input) in regressions(name) {
            assert!(catch_unwind(|| check(&input)).is_ok(), "regressions/{name}.txt:{line} fails again");
        }
        let executions = number("FUZZ_EXECUTIONS", 3_000);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number("FUZZ_SEED", 1).to_le_bytes());
        let config = Config {
            cases: u32::try_from(executions).expect("fewer than 2^32"),
            failure_persistence: None,
            max_shrink_iters: 100_000,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let start = Instant::now();
        IS_TOLD.set(false);
        let result = runner.run(&inputs(), |input| {
            let outcome = catch_unwind(AssertUnwindSafe(|| check(&input)));
            outcome.map_err(|_panic| TestCaseError::fail("see below"))
        });
        IS_TOLD.set(true);
        if let Err(TestError::Fail(_, input)) = &result {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            // Once more, for its message alone.
            eprintln!("the smallest input that fails, for regressions/{name}.txt:\n{hex}");
            check(input);
        }
        result.expect("the property holds");
        let seconds = start.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "for the eye")]
        let rate = executions as f64 / seconds;
        println!("{name}: {executions} executions in {seconds:.0} s, {rate:.0} per second");
    }

    /// The inputs that once failed, each with its line.
    fn regressions(name: &str) -> Vec<(usize, Vec<u8>)> {
        let path = format!("{}/regressions/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|(at, line)| {
                let digits: Vec<char> = line.trim().chars().collect();
                let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).expect("hex");
                (at + 1, digits.chunks(2).map(byte).collect())
            })
            .collect()
    }

    #[test]
    fn a_configuration_is_read_alike_in_both_forms_and_shows_no_secret() {
        holds("configuration");
    }

    #[test]
    fn two_requests_share_a_key_only_if_they_share_their_credentials() {
        holds("credentials");
    }

    #[test]
    fn a_token_is_accepted_only_if_it_was_signed_and_meets_the_policy() {
        holds("tokens");
    }

    #[test]
    fn a_bad_key_costs_only_itself_whatever_it_is() {
        holds("key_sets");
    }

    #[test]
    fn no_spelling_asks_for_less_than_what_any_program_would_find() {
        holds("paths");
    }

    #[test]
    fn no_answer_makes_somebody_of_nobody_whatever_it_holds() {
        holds("answers");
    }

    #[test]
    fn no_list_of_headers_leaves_a_managed_name() {
        holds("heads");
    }

    #[test]
    fn no_order_of_uses_makes_a_cache_keep_more_or_longer() {
        holds("memory");
    }

    #[test]
    fn no_order_of_events_makes_one_user_another_or_leaves_anybody_waiting() {
        holds("engine");
    }
}
