//! Ory Hydra: its JWT access tokens, and its opaque ones by introspection.

use std::net::SocketAddr;

use serde_json::{Value, json};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::scene::{Seen, seen};
use wasm_tests::wait::{holds, wait_until};

use crate::browser::Browser;
use crate::program::{Program, free_address};

/// The host of the pages that ask people to log in and to consent. Nothing listens there: tests answer for it.
const LOGIN: &str = "login.example.test";
/// Where the client's logins end. Nothing listens there either.
const CALLBACK: &str = "http://client.example.test/callback";
pub(crate) const SECRET: &str = "a secret for tests only";

/// How long to wait for a token to expire.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(30);

/// A running Hydra.
pub(crate) struct Hydra {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    _program: Program,
}

/// What a token endpoint gave.
pub(crate) struct Tokens(Value);

impl Tokens {
    fn get(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.0))
    }
}

impl Hydra {
    /// Starts it with access tokens of this strategy, `jwt` or `opaque`, that live as long as this (`1h`).
    pub(crate) async fn start(strategy: &str, lifetime: &str) -> Self {
        let (public, admin) = (free_address(), free_address());
        let variables = [
            ("DSN", "memory".to_owned()),
            ("SECRETS_SYSTEM", "a system secret for tests".to_owned()),
            ("SERVE_PUBLIC_HOST", public.ip().to_string()),
            ("SERVE_PUBLIC_PORT", public.port().to_string()),
            ("SERVE_ADMIN_HOST", admin.ip().to_string()),
            ("SERVE_ADMIN_PORT", admin.port().to_string()),
            ("URLS_SELF_ISSUER", issuer(public)),
            ("URLS_LOGIN", format!("http://{LOGIN}/login")),
            ("URLS_CONSENT", format!("http://{LOGIN}/consent")),
            ("STRATEGIES_ACCESS_TOKEN", strategy.to_owned()),
            ("TTL_ACCESS_TOKEN", lifetime.to_owned()),
            ("SQA_OPT_OUT", "true".to_owned()),
        ];
        let arguments = ["serve", "all", "--dev"].map(str::to_owned);
        // The keys too: it makes them, RSA of 4096 bits, when they are first asked for.
        let program =
            Program::start("hydra", &arguments, &variables, (public, "/.well-known/jwks.json")).await;
        Self { public, admin, _program: program }
    }

    /// `iss`.
    pub(crate) fn issuer(&self) -> String {
        issuer(self.public)
    }

    /// Registers a client that may do everything, with these redirect URIs, and returns its id.
    pub(crate) async fn client(&self, redirect_uris: &[&str]) -> String {
        let client = json!({
            "client_secret": SECRET,
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "response_types": ["code"],
            "scope": "openid offline email orders.read",
            "audience": ["api"],
            "redirect_uris": redirect_uris,
            "token_endpoint_auth_method": "client_secret_basic",
        });
        let made = self.admin("POST", "/admin/clients", &client).await;
        made["client_id"].as_str().expect("a client id").to_owned()
    }

    /// Asks the admin port.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let request =
            Request::new(method, path).header("content-type", "application/json").body(body.to_string());
        let answer = client::send(self.admin, request).await;
        assert!(answer.status / 100 == 2, "{method} {path}: {answer:?}");
        answer.json()
    }

    /// Goes on where a browser is asked to log in or to consent: as this user, with these claims for the ID token.
    pub(crate) async fn answer(&self, url: &str, user: &str, claims: &Value) -> Option<String> {
        let (kind, challenge) = ["login", "consent"].iter().find_map(|kind| {
            Some((*kind, url.strip_prefix(&format!("{LOGIN}/{kind}?{kind}_challenge="))?))
        })?;
        let path = format!("/admin/oauth2/auth/requests/{kind}");
        let challenge = challenge.split('&').next().unwrap_or_default();
        let body = if kind == "login" {
            json!({ "subject": user })
        } else {
            let asked =
                client::send(self.admin, Request::get(&format!("{path}?{kind}_challenge={challenge}")))
                    .await
                    .json();
            json!({
                "grant_scope": asked["requested_scope"],
                "grant_access_token_audience": asked["requested_access_token_audience"],
                "session": { "id_token": claims },
            })
        };
        let accepted = self.admin("PUT", &format!("{path}/accept?{kind}_challenge={challenge}"), &body).await;
        accepted["redirect_to"].as_str().map(str::to_owned)
    }

    /// The tokens of a user who logs in: access, refresh and ID token.
    async fn log_in(&self, client_id: &str, user: &str) -> Tokens {
        let host = self.public.to_string();
        let mut browser = Browser::default().with(&host, self.public);
        let query = [
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", CALLBACK),
            ("scope", "openid offline orders.read"),
            ("audience", "api"),
            ("state", "a state of enough length"),
        ];
        let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let page = browser
            .open(&format!("{host}/oauth2/auth?{query}"), &mut async |url: &str| {
                self.answer(url, user, &json!({})).await
            })
            .await;
        let (_, query) = page.url.split_once('?').unwrap_or_else(|| panic!("no callback: {page:?}"));
        let code = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code");
        let (_, code) = code.unwrap_or_else(|| panic!("no code: {page:?}"));
        self.tokens(
            client_id,
            &[("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)],
        )
        .await
    }

    /// The token of a machine.
    async fn machine(&self, client_id: &str) -> Tokens {
        let form = [("grant_type", "client_credentials"), ("scope", "orders.read"), ("audience", "api")];
        self.tokens(client_id, &form).await
    }

    async fn tokens(&self, client_id: &str, form: &[(&str, &str)]) -> Tokens {
        let answer = self.form("/oauth2/token", client_id, form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Tokens(answer.json())
    }

    async fn form(&self, path: &str, client_id: &str, form: &[(&str, &str)]) -> Response {
        use base64::Engine as _;
        // Both parts are form-encoded first (RFC 6749 section 2.3.1).
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = format!("{}:{}", encode(client_id), encode(SECRET));
        let basic = base64::prelude::BASE64_STANDARD.encode(basic);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(path, body)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Basic {basic}"));
        client::send(self.public, request).await
    }
}

fn issuer(public: SocketAddr) -> String {
    format!("http://{public}/")
}

/// An app behind the filter, with this configuration of one issuer.
async fn guarded(hydra: &Hydra, change: impl FnOnce(&mut Value)) -> (Echo, Envoy) {
    let mut issuer = json!({
        "issuer": hydra.issuer(),
        "headers": { "x-user-id": "sub", "x-client-id": "client_id" },
    });
    change(&mut issuer);
    let mut configuration = json!({ "require": { "scopes": ["orders.read"] } });
    if issuer.get("introspection").is_some() {
        configuration["cache"] = json!({ "ttl": "1s", "negative_ttl": "0s" });
    }
    configuration["jwt"] = json!([issuer]);
    let app = Echo::start().await.expect("a port for the app");
    let envoy = Envoy::builder()
        .cluster("app", app.address())
        .cluster("hydra", hydra.public)
        .cluster("hydra-admin", hydra.admin)
        .plugin(configuration)
        .start()
        .await;
    (app, envoy)
}

fn with_keys(issuer: &mut Value) {
    issuer["jwks_uri"] =
        format!("{}.well-known/jwks.json", issuer["issuer"].as_str().unwrap_or_default()).into();
    issuer["upstream"] = "hydra".into();
    // Hydra's access tokens say `JWT`, as its ID tokens do.
    issuer["types"] = json!(["JWT"]);
    issuer["algorithms"] = json!(["RS256", "ES256"]);
}

async fn ask(envoy: &Envoy, token: &str) -> Response {
    let request =
        Request::get("/").header("authorization", format!("Bearer {token}")).header("x-user-id", "forged");
    client::send(envoy.address(), request).await
}

/// The user that the app was told.
fn user(answer: &Response) -> Option<String> {
    let Seen { headers, .. } = seen(answer);
    headers.into_iter().find(|(name, _)| name == "x-user-id").map(|(_, value)| value)
}

#[tokio::test]
async fn access_tokens_of_users_and_machines_pass_and_id_and_refresh_tokens_do_not() {
    let hydra = Hydra::start("jwt", "1h").await;
    let client_id = hydra.client(&[CALLBACK]).await;
    let of_alice = hydra.log_in(&client_id, "alice").await;
    let of_machine = hydra.machine(&client_id).await;
    let by_audience = guarded(&hydra, |issuer| {
        with_keys(issuer);
        issuer["audiences"] = json!(["api"]);
    })
    .await;
    let by_client = guarded(&hydra, |issuer| {
        with_keys(issuer);
        issuer["client_ids"] = json!([client_id]);
    })
    .await;
    for (_app, envoy) in [&by_audience, &by_client] {
        assert_eq!(user(&ask(envoy, of_alice.get("access_token")).await).as_deref(), Some("alice"));
        let machine = ask(envoy, of_machine.get("access_token")).await;
        assert_eq!(user(&machine), Some(client_id.clone()), "its subject is its client");
        for kind in ["id_token", "refresh_token"] {
            let answer = ask(envoy, of_alice.get(kind)).await;
            assert_eq!(answer.status, 401, "{kind}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_new_key_of_another_algorithm_is_fetched_when_a_token_names_it() {
    let hydra = Hydra::start("jwt", "1h").await;
    let client_id = hydra.client(&[CALLBACK]).await;
    let (_app, envoy) = guarded(&hydra, |issuer| {
        with_keys(issuer);
        issuer["audiences"] = json!(["api"]);
    })
    .await;
    let before = hydra.machine(&client_id).await;
    assert_eq!(ask(&envoy, before.get("access_token")).await.status, 200);
    for (algorithm, kid) in [("ES256", "the-second"), ("RS256", "the-third")] {
        let key = json!({ "alg": algorithm, "use": "sig", "kid": kid });
        hydra.admin("POST", "/admin/keys/hydra.jwt.access-token", &key).await;
        let after = hydra.machine(&client_id).await;
        // Unknown keys are asked for at most once in ten seconds.
        wait_until("the new key is known", std::time::Duration::from_secs(30), || async {
            let answer = ask(&envoy, after.get("access_token")).await;
            holds(answer.status == 200, format!("{answer:?}"))
        })
        .await;
        assert_eq!(
            ask(&envoy, before.get("access_token")).await.status,
            200,
            "the old key is still published"
        );
    }
}

#[tokio::test]
async fn opaque_tokens_are_introspected() {
    let hydra = Hydra::start("opaque", "4s").await;
    let client_id = hydra.client(&[CALLBACK]).await;
    let (_app, envoy) = guarded(&hydra, |issuer| {
        issuer["audiences"] = json!(["api"]);
        let url = format!("http://{}/admin/oauth2/introspect", hydra.admin);
        issuer["introspection"] = json!({ "url": url, "upstream": "hydra-admin" });
    })
    .await;
    let of_alice = hydra.log_in(&client_id, "alice").await;
    assert_eq!(user(&ask(&envoy, of_alice.get("access_token")).await).as_deref(), Some("alice"));
    // Hydra says that these are active.
    for kind in ["refresh_token", "id_token"] {
        assert_eq!(ask(&envoy, of_alice.get(kind)).await.status, 401, "{kind}");
    }
    assert_eq!(ask(&envoy, "nonsense").await.status, 401);

    let revoked = hydra.machine(&client_id).await;
    assert_eq!(ask(&envoy, revoked.get("access_token")).await.status, 200);
    let answer = hydra.form("/oauth2/revoke", &client_id, &[("token", revoked.get("access_token"))]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    is_refused_in_time(&envoy, revoked.get("access_token"), "the revoked token is refused").await;
    is_refused_in_time(&envoy, of_alice.get("access_token"), "the expired token is refused").await;
}

async fn is_refused_in_time(envoy: &Envoy, token: &str, awaited: &str) {
    wait_until(awaited, LIFETIME, || async {
        let answer = ask(envoy, token).await;
        holds(answer.status == 401, format!("{answer:?}"))
    })
    .await;
}
