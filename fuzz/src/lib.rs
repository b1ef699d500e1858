//! What holds for any input. Each module is a target: its `check` makes its input of any bytes, hands it to the filter's
//! core, and panics where a property does not hold. `tests/properties.rs` tries many by proptest.
//!
//! | target | input | holds |
//! |---|---|---|
//! | [`configuration`] | a configuration, as JSON and as a Struct | read alike in both forms; an error names a field and shows no secret; what is accepted can serve |
//! | [`credentials`] | headers and URLs with credentials | two requests share a key only if they share their credentials; what is taken out is gone, and nothing else |
//! | [`tokens`] | tokens, damaged or signed with any claims | what is accepted was signed, meets the policy, and ends with its `exp` |
//! | [`key_sets`] | key sets | a bad key costs only itself; no key is weak, private or symmetric; nothing odd gets into the log |
//! | [`paths`] | rules and paths | no spelling asks for less than the plain path; nor less than what [a program](programs) would find |
//! | [`answers`] | answers of a resolver, a forward-auth server and an introspection endpoint | nobody is somebody without being said to be; nothing but what is configured gets to the app or the client |
//! | [`heads`] | a host's list of headers | no managed name is left, in any spelling, in headers or trailers; `Connection` nominates none |
//! | [`memory`] | a cache, used at random | no more is kept than the budget; nothing is found that was not put there, or after its end |
//! | [`engine`] | any order of requests, answers, errors, ticks, clients that leave, steps of the clock | nobody is another one; nothing past `exp`; calls bounded; nobody is left waiting |

pub mod answers;
pub mod configuration;
pub mod credentials;
pub mod engine;
pub mod heads;
pub mod input;
pub mod issuer;
pub mod key_sets;
pub mod memory;
pub mod paths;
pub mod programs;
pub mod tokens;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("answers", answers::check),
    ("configuration", configuration::check),
    ("credentials", credentials::check),
    ("engine", engine::check),
    ("heads", heads::check),
    ("key_sets", key_sets::check),
    ("memory", memory::check),
    ("paths", paths::check),
    ("tokens", tokens::check),
];
