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
    Token(Carried<'a>, TokenScheme),
    /// What can be none, for this reason.
    Refused(&'static str),
}

/// How a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenScheme {
    /// Whoever has it may use it (RFC 6750), wherever it stands.
    Bearer,
    /// `Authorization: DPoP`: its bearer has to prove that it is theirs (RFC 9449 section 7.1).
    Dpop,
}

impl Presented<'_> {
    /// How it is presented; none where there is nothing.
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
    /// The token that decides about a request.
    pub(super) fn presented<'a>(&self, head: &Head<'a>) -> Presented<'a> {
        let places = &self.config.token_from;
        // Two of them are unclear wherever tokens are read: the app may read them.
        if !places.iter().any(|place| place.is_header(b"authorization"))
            && self.bearer.find(head) == Found::Unclear
        {
            return Presented::Refused(UNCLEAR);
        }
        match self.config.issuers.as_slice() {
            // In the one place there is nothing to choose.
            issuers @ [_, _, ..] if places.len() > 1 => self.of_several(issuers, head),
            _ => self.first(places, head),
        }
    }

    /// What a place holds. The one for Bearer tokens holds bound ones too, where tokens are judged here.
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

    /// The first place that holds a token decides.
    fn first<'a>(&self, places: &[Place], head: &Head<'a>) -> Presented<'a> {
        let mut found = places.iter().map(|place| self.find(place, head));
        found.find(|found| *found != Presented::Nothing).unwrap_or(Presented::Nothing)
    }

    /// Of several issuers, in their order, the first place of an issuer that holds a token of that issuer decides; where
    /// there is none, the first token that no issuer names. Of those one that is no JWT goes before, where it stands in
    /// a place of the issuer whose server is asked about such tokens.
    fn of_several<'a>(&self, issuers: &[Issuer], head: &Head<'a>) -> Presented<'a> {
        let mut other = Presented::Nothing;
        let mut opaque = None;
        for (number, issuer) in issuers.iter().enumerate() {
            for place in &issuer.token_from {
                let (token, scheme) = match self.find(place, head) {
                    Presented::Nothing => continue,
                    Presented::Refused(reason) => return Presented::Refused(reason),
                    Presented::Token(token, scheme) => (token, scheme),
                };
                let is_asked_about = self.asked_issuer() == Some(number);
                if is_asked_about && opaque.is_none() && !jose::is_jwt(token.secret().reveal()) {
                    opaque = Some((token.clone(), scheme));
                }
                match named_issuer(token.secret().reveal()) {
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

/// The issuer that a token names, unverified, whatever its header says.
fn named_issuer(token: &[u8]) -> Option<String> {
    match Token::parse(token) {
        Ok(token) => token.unverified_issuer().map(str::to_owned),
        Err(_) => jose::peek(token)?.issuer,
    }
}
