//! Which token of a request decides, of those that stand in the places where tokens may be.

use super::Engine;
use crate::config::Issuer;
use crate::http::Head;
use crate::http::place::{Carried, Found, Place};
use crate::jose::{self, Token};

/// What a request presents as its token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// Nothing.
    Nothing,
    /// This one.
    Token(Carried<'a>),
    /// What can be none, for this reason.
    Refused(&'static str),
}

const UNCLEAR: &str = "there is more than one, or it is malformed";

const ELSEWHERE: &str = "its issuer's tokens are not read from where it stands";

impl Engine {
    /// The token that decides about a request.
    pub(super) fn presented<'a>(&self, head: &Head<'a>) -> Presented<'a> {
        let places = &self.config.token_from;
        // Two of them are unclear wherever tokens are read: the app may read them.
        if !places.iter().any(|place| place.is_header(b"authorization"))
            && Place::bearer().find(head) == Found::Unclear
        {
            return Presented::Refused(UNCLEAR);
        }
        match self.config.issuers.as_slice() {
            // In the one place there is nothing to choose.
            issuers @ [_, _, ..] if places.len() > 1 => of_several(issuers, head),
            _ => first(places, head),
        }
    }
}

/// The first place that holds a token decides.
fn first<'a>(places: &[Place], head: &Head<'a>) -> Presented<'a> {
    match places.iter().map(|place| place.find(head)).find(|found| *found != Found::Nothing) {
        Some(Found::Token(token)) => Presented::Token(token),
        Some(Found::Unclear) => Presented::Refused(UNCLEAR),
        Some(Found::Nothing) | None => Presented::Nothing,
    }
}

/// Of several issuers, in their order, the first place of an issuer that holds a token of that issuer decides; where
/// there is none, the first token that no issuer names.
fn of_several<'a>(issuers: &[Issuer], head: &Head<'a>) -> Presented<'a> {
    let mut other = Presented::Nothing;
    for issuer in issuers {
        for place in &issuer.token_from {
            let token = match place.find(head) {
                Found::Nothing => continue,
                Found::Unclear => return Presented::Refused(UNCLEAR),
                Found::Token(token) => token,
            };
            match named_issuer(token.secret().reveal()) {
                Some(named) if issuer.policy.issuer.may_be(&named) => return Presented::Token(token),
                Some(named) if issuers.iter().any(|known| known.policy.issuer.may_be(&named)) => {
                    other = Presented::Refused(ELSEWHERE);
                }
                Some(_) | None if other == Presented::Nothing => other = Presented::Token(token),
                Some(_) | None => {}
            }
        }
    }
    other
}

/// The issuer that a token names, unverified, whatever its header says.
fn named_issuer(token: &[u8]) -> Option<String> {
    match Token::parse(token) {
        Ok(token) => token.unverified_issuer().map(str::to_owned),
        Err(_) => jose::peek(token)?.issuer,
    }
}
