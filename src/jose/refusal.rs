//! Why a token is refused: one variant per cause.

use std::fmt;

/// Why a token is refused. Nothing in it comes from the token, so it can be logged and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Longer than [`MAX_TOKEN_BYTES`](super::MAX_TOKEN_BYTES).
    TooLarge,
    /// Not three segments with a header and claims.
    Shape,
    /// A segment is not base64url as RFC 7515 section 2 defines it: no padding, no other characters, no bits left
    /// over.
    Base64,
    /// It is signed by an AWS load balancer, which pads base64.
    LoadBalancer,
    /// The header is not one JSON object whose members are distinct and of the right type.
    Header,
    /// The claims are not one JSON object whose members are distinct.
    Claims,
    /// The named claim has the wrong type or an impossible value.
    Claim(&'static str),
    /// `alg` is absent or `none`: the token is not signed.
    Unsigned,
    /// `alg` is an HMAC. Everyone who can verify such a token can make one.
    Hmac,
    /// `alg` is unknown to this filter.
    UnknownAlgorithm,
    /// `alg` is not configured for the issuer.
    AlgorithmNotAllowed,
    /// `alg` does not fit the key that the token names, or no key fits it.
    AlgorithmNotOfKey,
    /// `crit` is present (RFC 7515 section 4.1.11): no extension is understood.
    Critical,
    /// `b64` is present and not `true` (RFC 7797).
    UnencodedPayload,
    /// `typ` is not accepted, as with an ID token sent as an access token.
    Type,
    /// `iss` is absent or another issuer.
    Issuer,
    /// `aud` is absent or names none of the accepted audiences.
    Audience,
    /// It is an ID token: `aud` names a client, or it has `at_hash` or `c_hash`. Checked only if no audiences are
    /// configured.
    IdToken,
    /// The claim `typ` or `token_use` states that it is not an access token.
    Use,
    /// `exp` is absent.
    NoExpiry,
    /// `exp` has passed, leeway included.
    Expired,
    /// `nbf` lies in the future, beyond the leeway.
    NotYetValid,
    /// `iat` lies in the future, beyond the leeway.
    IssuedInFuture,
    /// The client is missing or not accepted.
    ClientId,
    /// No key of the set has the token's `kid`. The key may be new: fetching the keys may help.
    UnknownKey,
    /// The token names no key, and more keys could have signed it than will be tried.
    TooManyKeys,
    /// The signature is wrong.
    Signature,
    /// A value that would become a header contains a control character.
    ControlCharacter,
    /// `sub`, or the client id of a machine, would become a header and is empty or has white space at an end.
    /// Programs on the way could change it into another identity.
    WhiteSpace,
    /// `cnf` is present without a valid `jkt`, so it is unknown what the bearer must prove.
    Binding,
    /// It is bound to a key (`cnf`, RFC 7800), and nothing here proves possession of it.
    Bound,
    /// The authorization server states that it is not active (RFC 7662).
    Inactive,
    /// Authgear: the subject is neither clearly a user nor clearly a machine.
    Subject,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Claim(name) => return write!(f, "claim {name} is malformed"),
            Self::TooLarge => "token too large",
            Self::Shape => "not a compact JWS",
            Self::Base64 => "not strict base64url",
            Self::LoadBalancer => {
                "it is signed by an AWS load balancer, which pads base64, as no JWT may, and publishes no key set"
            }
            Self::Header => "malformed header",
            Self::Claims => "malformed claims",
            Self::Unsigned => "token is not signed",
            Self::Hmac => "HMAC is not accepted",
            Self::UnknownAlgorithm => "unknown algorithm",
            Self::AlgorithmNotAllowed => "algorithm is not configured for the issuer",
            Self::AlgorithmNotOfKey => "no key for the algorithm",
            Self::Critical => "critical header extension",
            Self::UnencodedPayload => "unencoded payload",
            Self::Type => "typ is not accepted",
            Self::Issuer => "wrong issuer",
            Self::Audience => "wrong audience",
            Self::IdToken => "it is an ID token",
            Self::Use => "typ or token_use says that it is no access token",
            Self::NoExpiry => "no expiry",
            Self::Expired => "expired",
            Self::NotYetValid => "not valid yet",
            Self::IssuedInFuture => "issued in the future",
            Self::ClientId => "client_id is not accepted",
            Self::UnknownKey => "unknown key",
            Self::TooManyKeys => "the token names no key, and more than 8 keys could have signed it",
            Self::Signature => "wrong signature",
            Self::ControlCharacter => "control character in a claim that becomes a header",
            Self::WhiteSpace => "sub is empty, or begins or ends with white space",
            Self::Binding => "bound to something else than a key (cnf without jkt)",
            Self::Bound => "it is bound to a key, which nothing proves",
            Self::Inactive => "not active",
            Self::Subject => "neither a user nor a machine",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Refusal {}
