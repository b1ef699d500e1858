//! The cost of requests in Envoy, as far as it is the same on every machine: the filter's host calls for each kind of
//! request, and the number of instructions.

mod host;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::PrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use sha2::Sha256;

use host::{Answer, Field, Host, Served};

/// Unix seconds.
const NOW: u64 = 1_800_000_000;

const PAGE: &str = include_str!("../../../docs/performance.md");

/// Generating a key takes most of a second.
static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::new(&mut rand::rng(), 2048).expect("2048 bits are a valid size"));

/// Authgear, with everything but `/public` for users only, and `more` rules that no request here matches.
fn host(more: usize) -> Host {
    host_with(more, |_| {})
}

fn host_with(more: usize, change: impl FnOnce(&mut Value)) -> Host {
    let mut rules = vec![json!({"prefix": "/public", "access": "public"})];
    rules.extend((0..more).map(|number| json!({"prefix": format!("/more/{number}"), "access": "public"})));
    let mut configuration = json!({
        "authgear": {"endpoint": "https://accounts.example.com", "upstream": "authgear"},
        "access": "required", "rules": rules,
    });
    change(&mut configuration);
    let mut host = Host::start(&configuration.to_string(), Duration::from_secs(NOW));
    let key = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k",
        "n": URL_SAFE_NO_PAD.encode(KEY.n_bytes()), "e": URL_SAFE_NO_PAD.encode(KEY.e_bytes())});
    host.tick(&Answer { fields: fields(&[(":status", "200")]), body: json!({"keys": [key]}).to_string() });
    host
}

/// An issuer with its keys inline, alone or beside a forward-auth server.
fn host_with_issuer(is_beside_server: bool) -> Host {
    let key = json!({"kty": "RSA", "kid": "k",
        "n": URL_SAFE_NO_PAD.encode(KEY.n_bytes()), "e": URL_SAFE_NO_PAD.encode(KEY.e_bytes())});
    let mut configuration = json!({"jwt": [{"issuer": "https://accounts.example.com",
        "audiences": ["https://accounts.example.com"], "jwks": {"keys": [key]},
        "headers": {"x-user": "sub"}}]});
    if is_beside_server {
        configuration["forward_auth"] =
            json!({"url": "http://auth/", "upstream": "auth", "identity_headers": ["x-user"]});
    }
    Host::start(&configuration.to_string(), Duration::from_secs(NOW))
}

/// An access token of about 1 KB; `number` makes it unique.
fn token(number: usize, lifetime: i64) -> String {
    token_with(&format!("{number:0120}"), lifetime)
}

/// The same with another `jti`.
fn token_with(jti: &str, lifetime: i64) -> String {
    let about = "https://authgear.com/claims/user";
    let header = json!({"alg": "RS256", "kid": "k", "typ": "at+jwt"});
    let claims = json!({
        "iss": "https://accounts.example.com", "aud": ["https://accounts.example.com"], "sub": "user",
        "client_id": "app", "jti": jti, "scope": "openid offline_access profile email",
        "iat": NOW, "exp": i64::try_from(NOW).unwrap() + lifetime, "auth_time": NOW, "amr": ["pwd", "otp"],
        format!("{about}/is_anonymous"): false, format!("{about}/is_verified"): true,
        format!("{about}/can_reauthenticate"): true, format!("{about}/roles"): ["admin", "staff"],
    });
    let encoded = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    let signature = SigningKey::<Sha256>::new(KEY.clone()).sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

/// The headers with which Authgear's resolver describes a session.
fn answer_about_session() -> Answer {
    let identity = [
        (":status", "200"),
        ("x-authgear-session-valid", "true"),
        ("x-authgear-user-id", "user"),
        ("x-authgear-user-anonymous", "false"),
        ("x-authgear-user-verified", "true"),
        ("x-authgear-session-acr", ""),
        ("x-authgear-session-amr", "pwd"),
        ("x-authgear-session-authenticated-at", "1800000000"),
        ("x-authgear-user-can-reauthenticate", "true"),
        ("content-type", "text/plain; charset=utf-8"),
        ("date", "Fri, 15 Jan 2027 08:00:00 GMT"),
    ];
    Answer { fields: fields(&identity), body: String::new() }
}

fn fields(fields: &[(&str, &str)]) -> Vec<Field> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A browser's request with these headers, and further ones that do not matter.
fn request(path: &str, own: &[(&str, &str)], besides: usize) -> Vec<Field> {
    let browser = [
        (":authority", "app.example.com"),
        (":path", path),
        (":method", "GET"),
        (":scheme", "https"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://app.example.com/"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "1f1c1a3e-6f0d-4a8e-8b59-3a3e3d1b2c4d"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
    ];
    let besides = (0..besides).map(|number| (format!("x-besides-{number}"), "value".to_owned()));
    fields(&browser).into_iter().chain(fields(own)).chain(besides).collect()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The outcome that distinguishes one kind of request from another.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It goes on, with this many identity headers.
    Forwarded(usize),
    Denied,
}

/// Serves a request of each kind, and returns the kind's name and its cost. `number` makes its credentials unique,
/// and adds as many headers that do not matter.
fn kinds(host: &mut Host, number: usize) -> Vec<(&'static str, Served)> {
    let cookies =
        "theme=dark; _ga=GA1.2.1234567890.1234567890; session=0123456789abcdef0123456789abcdef.abcdef";
    let cookies = format!("{cookies}{number}");
    let (good, bad) = (bearer(&token(number, 3600)), bearer(&token(number, -3600)));
    let public = request("/public", &[("cookie", &cookies), ("authorization", &good)], number);
    let forged = [("x-authgear-user-id", "admin"), ("x_authgear_user_roles", "admin"), ("cookie", &cookies)];
    let beside = request("/", &forged, number);
    let forged = request("/public", &forged, number);
    let session = request("/", &[("cookie", &cookies)], number);
    let good = request("/", &[("authorization", &good)], number);
    let bad = request("/", &[("authorization", &bad)], number);
    let cases = [
        ("public route", &public, 0, End::Forwarded(0)),
        ("public route, two forged headers", &forged, 0, End::Forwarded(0)),
        ("session, asked about", &session, 1, End::Forwarded(8)),
        ("session, cached", &session, 0, End::Forwarded(8)),
        ("session, cached, two forged headers", &beside, 0, End::Forwarded(8)),
        ("token, verified", &good, 0, End::Forwarded(8)),
        ("token, cached", &good, 0, End::Forwarded(8)),
        ("token, refused", &bad, 0, End::Denied),
        ("token, refused before", &bad, 0, End::Denied),
    ];
    cases
        .into_iter()
        .map(|(kind, request, calls, expected)| {
            let served = host.serve(request, &answer_about_session());
            let is_identity = |(name, _): &&Field| name.replace('_', "-").starts_with("x-authgear-");
            let end = match &served.forwarded {
                Some(fields) => End::Forwarded(fields.iter().filter(is_identity).count()),
                None => End::Denied,
            };
            assert_eq!((end, served.sent), (expected, calls), "{kind}");
            (kind, served)
        })
        .collect()
}

/// The host calls, as a table.
fn table(kinds: &[(&str, Served)]) -> String {
    let mut rows =
        vec!["| request | callback | asked of the proxy |".to_owned(), "| --- | --- | --- |".to_owned()];
    for (kind, served) in kinds {
        for callback in served.callbacks.iter().filter(|callback| !callback.asked.is_empty()) {
            let asked: Vec<_> =
                callback.asked.iter().map(|(name, times)| format!("`{name}` {times}")).collect();
            rows.push(format!("| {kind} | `{}` | {} |", callback.name, asked.join(", ")));
        }
    }
    rows.join("\n")
}

fn instructions(served: &Served) -> u64 {
    served.callbacks.iter().map(|callback| callback.instructions).sum()
}

#[test]
fn a_request_asks_the_host_what_the_documentation_says_and_nothing_else() {
    let table = table(&kinds(&mut host(0), 0));
    assert!(PAGE.contains(&table), "docs/performance.md says something else than this:\n{table}");
}

#[test]
fn the_access_log_costs_seven_values_and_two_looks_at_the_clock_and_nothing_while_it_is_off() {
    let asked = |kinds: &[(&'static str, Served)]| {
        let mut all = BTreeMap::new();
        for (kind, served) in kinds {
            for callback in &served.callbacks {
                for (name, times) in &callback.asked {
                    *all.entry((*kind, *name)).or_insert(0) += times;
                }
            }
        }
        all
    };
    let off = asked(&kinds(&mut host_with(0, |configuration| configuration["access_log"] = json!(false)), 0));
    assert_eq!(off, asked(&kinds(&mut host(0), 0)), "off is the default");
    let on = kinds(&mut host_with(0, |configuration| configuration["access_log"] = json!(true)), 0);
    let mut expected = off;
    for (kind, _) in &on {
        *expected.entry((kind, "clock_time_get")).or_insert(0) += 2;
        expected.insert((kind, "proxy_set_property"), 7);
    }
    let mut found = asked(&on);
    // The name of the worker is made up once.
    found.retain(|(_, name), _| *name != "random_get");
    assert_eq!(found, expected);
}

#[test]
fn what_is_asked_of_the_host_depends_neither_on_other_headers_nor_on_rules_nor_on_what_is_remembered() {
    let expected = table(&kinds(&mut host(0), 0));
    assert_eq!(table(&kinds(&mut host(0), 60)), expected, "60 headers more");
    let mut host = host(1000);
    remember(&mut host, 200);
    assert_eq!(table(&kinds(&mut host, 0)), expected, "1000 rules, and 200 sessions cached");
}

#[test]
fn a_remembered_credential_takes_no_more_instructions_among_thousands_of_others() {
    let mut host = host(0);
    let before = kinds(&mut host, 0);
    remember(&mut host, 2000);
    for ((kind, before), (_, after)) in before.iter().zip(kinds(&mut host, 1)) {
        let (before, after) = (instructions(before), instructions(&after));
        println!("{kind}: {before} instructions, among thousands {after}");
        // Not to the last instruction: there is one more header, and the place of an entry depends on how many there
        // are.
        if kind.ends_with("cached") || kind.ends_with("before") {
            assert!(after < before + before / 10, "{kind}: {before} before, {after} after");
        }
    }
}

#[test]
fn a_token_is_parsed_once_also_beside_forward_auth_and_not_at_all_where_it_is_remembered() {
    // So long that reading it is most of the work.
    let bearer = bearer(&token_with(&"j".repeat(8000), 3600));
    let request = request("/", &[("authorization", &bearer)], 0);
    let serve = |host: &mut Host| {
        let served = host.serve(&request, &answer_about_session());
        assert!(served.forwarded.is_some() && served.sent == 0, "the token is verified here");
        instructions(&served)
    };
    let (mut alone, mut beside) = (host_with_issuer(false), host_with_issuer(true));
    let (cold_alone, cold_beside) = (serve(&mut alone), serve(&mut beside));
    let (warm_alone, warm_beside) = (serve(&mut alone), serve(&mut beside));
    println!("alone {cold_alone}, then {warm_alone}; beside forward_auth {cold_beside}, then {warm_beside}");
    assert!(
        cold_beside < cold_alone + cold_alone / 5,
        "{cold_alone} alone, {cold_beside} beside forward_auth"
    );
    for (cold, warm) in [(cold_alone, warm_alone), (cold_beside, warm_beside)] {
        assert!(warm < cold / 2, "{cold} at first, {warm} when it is remembered");
    }
}

/// Fills the cache with this many sessions.
fn remember(host: &mut Host, sessions: usize) {
    for number in 0..sessions {
        let cookie = format!("session={number}");
        host.serve(&request("/", &[("cookie", &cookie)], 0), &answer_about_session());
    }
}
