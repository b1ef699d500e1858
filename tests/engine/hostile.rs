//! The corpus of hostile tokens, all of it, in both modes that judge tokens: nobody comes in.

use authgear_filter::engine::{Decision, Outcome, Step, WaitKey};
use authgear_filter::http::WantedBody;

use crate::corpus::hostile_tokens;
use crate::issuer;
use crate::world::{APISIX, ENVOY, World, authgear, resolved, set};

/// Goes on until there is a decision. The resolver knows nobody, and the keys are always the same.
fn decide(world: &mut World, token: &[u8]) -> Decision {
    let value = [b"Bearer ".as_slice(), token].concat();
    let mut step = world.start(&[(b"authorization", &value), (b"x-authgear-user-id", b"forged")]);
    loop {
        step = match step {
            Step::Done(decision) => return decision,
            Step::Park(WaitKey::Keys(_), waiting) => {
                world.finish_all(World::jwks);
                world.wake(waiting)
            }
            Step::Park(WaitKey::Answer(_), waiting) => world.answer(waiting, resolved(None)),
            Step::Call(call, waiting) => {
                let answer = if call.body != WantedBody::None { world.jwks() } else { resolved(None) };
                world.resume(waiting, answer)
            }
        };
    }
}

#[test]
fn no_hostile_token_is_anybody_in_any_mode() {
    for (background, mode) in [(ENVOY, "auto"), (ENVOY, "local"), (APISIX, "auto"), (APISIX, "local")] {
        let mut world = World::with_keys(background, &authgear(mode));
        let good = world.token();
        assert_eq!(decide(&mut world, good.as_bytes()).outcome, Outcome::Session);
        for hostile in hostile_tokens(&world.issuer, &issuer::claims()) {
            // A header's value has no spaces around it.
            if hostile.token.trim_ascii() == good.as_bytes() || hostile.name.starts_with("space ") {
                continue;
            }
            let decision = decide(&mut world, &hostile.token);
            let nobody = [Outcome::Refused, Outcome::NoSession, Outcome::Anonymous];
            assert!(nobody.contains(&decision.outcome), "{mode}: {}: {decision:?}", hostile.name);
            let user = set(&decision).into_iter().find(|(name, _)| name != "x-authgear-session-valid");
            assert_eq!(user, None, "{mode}: {}", hostile.name);
        }
        assert_eq!(decide(&mut world, good.as_bytes()).outcome, Outcome::Session);
    }
}
