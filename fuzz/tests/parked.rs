//! What a request that waits keeps: not its headers, and no more than bounds of what it is asked about by.

#![allow(
    unsafe_code,
    reason = "an allocator that counts is unsafe to write, and there is no other way to count"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it hands all on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[cfg(test)]
mod parked {
    use super::*;

    use authgear_filter::config::Projects;
    use authgear_filter::engine::projects::Engines;
    use authgear_filter::engine::{Capabilities, Step};
    use authgear_filter::http::{Field, Head, UnixTime};
    use fuzz::issuer::{ISSUER, NOW, PROXY, claims, token};
    use serde_json::{Value, json};

    const REQUESTS: usize = 500;

    /// The bytes that each of many requests keeps while they all wait, and how many headers it has.
    fn kept(configuration: &Value, authorization: &str, cookie: &str) -> usize {
        let projects = Projects::parse(configuration.to_string().as_bytes()).expect("a configuration");
        let engines = Engines::new(projects, Capabilities { background: true, signatures: PROXY });
        let mut memory = engines.memory(7);
        let noise: Vec<(String, String)> =
            (0..90).map(|n| (format!("x-noise-{n}"), "n".repeat(2_000))).collect();
        let path = format!("/{}", "p".repeat(6_000));
        let mut fields: Vec<Field<'_>> =
            noise.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        fields.push((b"authorization", authorization.as_bytes()));
        fields.push((b"cookie", cookie.as_bytes()));
        fields.push((b"x-authgear-user-id", b"forged"));
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: path.as_bytes(),
            fields: &fields,
            client_address: &|| None,
        };
        let mut waiting = Vec::with_capacity(REQUESTS);
        let before = HELD.load(Ordering::Relaxed);
        for _ in 0..REQUESTS {
            match engines.start(&mut memory, &head, UnixTime::from_secs(NOW)) {
                Step::Park(key, parked) => waiting.push((key, parked)),
                step => panic!("it does not wait: {step:?}"),
            }
        }
        (HELD.load(Ordering::Relaxed) - before) / REQUESTS
    }

    // One test: what others allocate would be counted.
    #[test]
    fn a_request_that_waits_keeps_its_credentials_and_none_of_its_headers() {
        let authgear = |mode: &str| json!({"authgear": {"endpoint": ISSUER, "upstream": "a", "mode": mode}});
        let jwt = format!("Bearer {}", token("k", &claims("alice", NOW + 1000)));
        let long = format!("Bearer {}", "o".repeat(16_000));
        let mut login = authgear("resolver");
        login["authgear"]["login"] = json!({"client_id": "web"});
        login["access"] = json!("required");
        let forward_auth = json!({"forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"]},
            "cache": {"ttl": "10s"}});
        for (what, configuration, authorization, cookie, most) in [
            ("a session", authgear("resolver"), "", "session=abc", 3_000),
            ("a token, without keys", authgear("local"), jwt.as_str(), "", 6_000),
            ("the longest token", authgear("resolver"), long.as_str(), "", 3 * 16_384),
            ("a session and a way back", login, "", "session=abc", 3_000 + 2 * 8_192),
            // The call tells the path, and so does its key.
            ("a forward-auth server", forward_auth, jwt.as_str(), "a=b", 3 * 16_384),
        ] {
            let kept = kept(&configuration, authorization, cookie);
            println!("{what}: {kept} bytes for each request");
            assert!(kept <= most, "{what}: {kept} bytes");
        }
    }
}
