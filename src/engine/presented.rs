//! Finds the token that decides about a request, among the places that can hold one.

use std::cell::OnceCell;

use super::Engine;
use crate::config::Issuer;
use crate::http::Head;
use crate::http::place::{Carried, Found, Place};
use crate::jose::{self, Token};

/// The token that a request presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// Nothing.
    Nothing,
    /// This token.
    Token(Carried<'a>, TokenScheme),
    /// Something that cannot be a token, for this reason.
    Refused(&'static str),
}

/// How a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenScheme {
    /// Anyone who has the token may use it (RFC 6750), in any place.
    Bearer,
    /// `Authorization: DPoP`: the bearer must prove possession of the token's key (RFC 9449 section 7.1).
    Dpop,
}

impl Presented<'_> {
    /// Returns how it is presented; `None` if nothing is.
    pub(super) const fn scheme(&self) -> Option<TokenScheme> {
        match self {
            Self::Nothing => None,
            Self::Token(_, scheme) => Some(*scheme),
            Self::Refused(_) => Some(TokenScheme::Bearer),
        }
    }
}

const UNCLEAR: &str = "there is more than one, or it is malformed";

const ELSEWHERE: &str = "its issuer's tokens are not read from where it stands";

impl Engine {
    /// Returns the token that decides about a request.
    pub(super) fn presented<'a>(&self, head: &Head<'a>) -> Presented<'a> {
        let places = &self.config.token_from;
        // Two `Authorization` headers are unclear even if tokens are read elsewhere, because the app may read them.
        if !places.iter().any(|place| place.is_header(b"authorization"))
            && self.bearer.find(head) == Found::Unclear
        {
            return Presented::Refused(UNCLEAR);
        }
        match self.config.issuers.as_slice() {
            // With only one place there is nothing to choose.
            issuers @ [_, _, ..] if places.len() > 1 => self.of_several(issuers, head),
            _ => self.first(places, head),
        }
    }

    /// Reads a place. If tokens are judged here, the place for Bearer tokens also holds bound ones.
    fn find<'a>(&self, place: &Place, head: &Head<'a>) -> Presented<'a> {
        let (mut found, mut scheme) = (place.find(head), TokenScheme::Bearer);
        if found == Found::Nothing && self.judges() && place.is_same(&self.bearer) {
            (found, scheme) = (self.dpop.find(head), TokenScheme::Dpop);
        } else if place.is_same(&self.dpop) {
            scheme = TokenScheme::Dpop;
        }
        match found {
            Found::Nothing => Presented::Nothing,
            Found::Token(token) => Presented::Token(token, scheme),
            Found::Unclear => Presented::Refused(UNCLEAR),
        }
    }

    /// Lets the first place that holds a token decide.
    fn first<'a>(&self, places: &[Place], head: &Head<'a>) -> Presented<'a> {
        let mut found = places.iter().map(|place| self.find(place, head));
        found.find(|found| *found != Presented::Nothing).unwrap_or(Presented::Nothing)
    }

    /// Chooses among several issuers, in their order: the first place of an issuer that holds one of its tokens
    /// decides. If there is none, the first token that no issuer claims does. Among those, one that is not a JWT
    /// takes precedence if its place belongs to the issuer whose server is asked about such tokens.
    fn of_several<'a>(&self, issuers: &[Issuer], head: &Head<'a>) -> Presented<'a> {
        let mut other = Presented::Nothing;
        let mut opaque = None;
        // Each place is read once, however many issuers share it.
        let held: Vec<_> = self.config.token_from.iter().map(|place| (place, OnceCell::new())).collect();
        let read = |place: &Place| {
            let found = self.find(place, head);
            let named = match &found {
                Presented::Token(token, _) => named_issuer(token.secret().reveal()),
                Presented::Nothing | Presented::Refused(_) => None,
            };
            (found, named)
        };
        let read = |place: &Place| match held.iter().find(|(known, _)| known.is_same(place)) {
            Some((_, held)) => held.get_or_init(|| read(place)).clone(),
            None => read(place),
        };
        for (number, issuer) in issuers.iter().enumerate() {
            for place in &issuer.token_from {
                let (found, named) = read(place);
                let (token, scheme) = match found {
                    Presented::Nothing => continue,
                    Presented::Refused(reason) => return Presented::Refused(reason),
                    Presented::Token(token, scheme) => (token, scheme),
                };
                let is_asked_about = self.asked_issuer() == Some(number);
                if is_asked_about && opaque.is_none() && !jose::is_jwt(token.secret().reveal()) {
                    opaque = Some((token.clone(), scheme));
                }
                match named {
                    Some(named) if issuer.policy.issuer.may_be(&named) => {
                        return Presented::Token(token, scheme);
                    }
                    Some(named) if issuers.iter().any(|known| known.policy.issuer.may_be(&named)) => {
                        other = Presented::Refused(ELSEWHERE);
                    }
                    Some(_) | None if other == Presented::Nothing => other = Presented::Token(token, scheme),
                    Some(_) | None => {}
                }
            }
        }
        match (other, opaque) {
            (Presented::Token(..), Some((token, scheme))) => Presented::Token(token, scheme),
            (other, _) => other,
        }
    }
}

/// Returns the issuer that a token names, unverified, whatever its header states.
fn named_issuer(token: &[u8]) -> Option<String> {
    match Token::parse(token) {
        Ok(token) => token.unverified_issuer().map(str::to_owned),
        Err(_) => jose::peek(token)?.issuer,
    }
}
