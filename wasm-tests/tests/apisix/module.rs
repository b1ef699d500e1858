//! Small filters in WebAssembly text, to test how the host reacts to what a filter does.

use wasm_tests::apisix::{Apisix, Builder};
use wasm_tests::client::{self, Request, Response};

/// What a module does in its callbacks, as WebAssembly text.
#[derive(Clone, Default)]
pub struct Module {
    /// In `proxy_on_request_headers`; leaves its result. Continues by default.
    pub request: String,
    /// In `proxy_on_http_call_response`, whose third parameter is the number of headers.
    pub answer: String,
    /// In `proxy_on_response_headers`, before it continues.
    pub response: String,
    /// In `proxy_on_configure`; leaves its result. Accepts by default.
    pub configure: String,
    /// In `proxy_on_delete`.
    pub delete: String,
    /// In `proxy_on_memory_allocate`, before it takes the next bytes.
    pub allocate: String,
    /// More imports, functions and data (from 8192 on).
    pub more: String,
    /// The upstream that `$call` calls.
    pub upstream: String,
    /// The headers that `$call` sends; the four pseudo headers by default.
    pub headers: Option<Vec<(String, String)>>,
    /// The timeout of `$call`, in milliseconds; 0 by default.
    pub timeout: i32,
}

/// Replies with status 400 and the number on the stack, for the test to read.
pub fn tell(number: &str) -> String {
    format!("(drop (call $reply (i32.add (i32.const 400) {number}))) (i32.const 1)")
}

/// Makes a call and pauses.
pub const CALL: &str = "(drop (call $call)) (i32.const 1)";

/// Lets the request go on.
pub const RESUME: &str = "(drop (call $resume (i32.const 0)))";

/// The pseudo headers of a call, all four.
pub fn pseudo_headers() -> Vec<(String, String)> {
    [(":method", "GET"), (":scheme", "http"), (":authority", "auth.test"), (":path", "/check")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

impl Module {
    /// Does only what `request` says.
    pub fn on_request(request: impl Into<String>) -> Self {
        Self { request: request.into(), ..Self::default() }
    }

    /// The module as text.
    pub fn bytes(&self) -> Vec<u8> {
        let or =
            |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
        let headers = list(&self.headers.clone().unwrap_or_else(pseudo_headers));
        let text = format!(
            r#"(module
              (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
              (import "env" "proxy_continue_stream" (func $resume (param i32) (result i32)))
              (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
              (import "env" "proxy_get_header_map_value"
                (func $value (param i32 i32 i32 i32 i32) (result i32)))
              (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
              (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
              (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
              (import "env" "proxy_send_local_response"
                (func $send_reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
              (import "env" "proxy_http_call"
                (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
              {more}
              (memory (export "memory") 4)
              (global $next (mut i32) (i32.const 65536))
              (global $count (mut i32) (i32.const 0))
              (data (i32.const 1024) "{upstream}")
              (data (i32.const 2048) "{headers}")
              (data (i32.const 4096) "no")
              (func $call (result i32)
                (call $http_call (i32.const 1024) (i32.const {upstream_size}) (i32.const 2048)
                  (i32.const {headers_size}) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                  (i32.const {timeout}) (i32.const 16)))
              (func $reply (param $status i32) (result i32)
                (call $send_reply (local.get $status) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 2)
                  (i32.const 0) (i32.const 0) (i32.const -1)))
              (func (export "proxy_abi_version_0_2_1"))
              (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
                {allocate}
                (global.get $next)
                (global.set $next (i32.add (global.get $next) (local.get $size))))
              (func (export "proxy_on_context_create") (param i32 i32))
              (func (export "proxy_on_configure") (param i32 i32) (result i32) {configure})
              (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {request})
              (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32) {answer})
              (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                {response} (i32.const 0))
              (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
              (func (export "proxy_on_delete") (param i32) {delete}))"#,
            more = self.more,
            upstream = self.upstream,
            upstream_size = self.upstream.len(),
            headers = escape(&headers),
            headers_size = headers.len(),
            timeout = self.timeout,
            allocate = self.allocate,
            configure = or(&self.configure, "(i32.const 1)"),
            request = or(&self.request, "(i32.const 0)"),
            answer = self.answer,
            response = self.response,
            delete = self.delete,
        );
        text.into_bytes()
    }

    /// A host with this module on one worker. It guards everything.
    pub fn builder(&self) -> Builder {
        Apisix::builder().module(self.bytes()).workers(1).route("/", "{}")
    }

    /// A running host without an upstream: it answers 200 to what is let through.
    pub fn start(&self) -> Apisix {
        self.builder().start()
    }

    /// The status of one request's answer.
    pub async fn status(&self) -> u16 {
        get(&self.start()).await.status
    }
}

/// Sends one request.
pub async fn get(host: &Apisix) -> Response {
    client::send(host.address(), Request::get("/")).await
}

/// Bytes for a `data` segment.
pub fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A list of headers, as the ABI has it.
pub fn list(headers: &[(String, String)]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let mut bytes = number(headers.len()).to_vec();
    headers.iter().for_each(|(name, value)| bytes.extend([number(name.len()), number(value.len())].concat()));
    headers.iter().for_each(|(name, value)| bytes.extend(format!("{name}\0{value}\0").bytes()));
    bytes
}
