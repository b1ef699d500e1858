//! A host on wasmtime that does for a request what Envoy does, without a network, and counts the filter's host calls.
//! It handles one request at a time. A missing function fails the test.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use ring::signature::{ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use wasm_tests::envoy;
use wasmtime::{Caller, Config, Engine, Instance, Linker, Memory, Module, Result, Store, Val};

const OK: i32 = 0;
const NOT_FOUND: i32 = 1;

/// The result of a header callback that lets the request go on.
const CONTINUE: i32 = 0;

/// The ids of the root context and the request's.
const ROOT: i32 = 1;
const REQUEST: i32 = 2;

/// The ABI's numbers for maps and buffers.
const REQUEST_HEADERS: i32 = 0;
const CALL_HEADERS: i32 = 6;
const CALL_BODY: i32 = 4;
const CONFIGURATION: i32 = 7;

/// Compiled once: it takes seconds.
static MODULE: LazyLock<Module> = LazyLock::new(|| {
    let mut config = Config::new();
    config.consume_fuel(true);
    let engine = Engine::new(&config).expect("an engine");
    let bytes = fs::read(envoy::filter_module()).expect("the module can be read");
    Module::new(&engine, bytes).expect("a module")
});

/// A header: name and value.
pub type Field = (String, String);

/// One callback: its name, and how often the filter called each host function in it. Also the number of the module's
/// instructions that ran, which is the same on every machine.
#[derive(Debug, Clone)]
pub struct Callback {
    pub name: &'static str,
    pub asked: BTreeMap<&'static str, usize>,
    pub instructions: u64,
}

/// The answer to a call.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub fields: Vec<Field>,
    pub body: String,
}

/// The outcome of a request, and its cost.
#[derive(Debug)]
pub struct Served {
    /// The headers that the app gets; `None` if the filter answered the request.
    pub forwarded: Option<Vec<Field>>,
    /// How many calls were sent for it.
    pub sent: usize,
    /// All its callbacks, in order.
    pub callbacks: Vec<Callback>,
}

#[derive(Default)]
struct Data {
    memory: Option<Memory>,
    configuration: Vec<u8>,
    now: Duration,
    request: Vec<Field>,
    answer: Answer,
    /// The tokens of calls in flight.
    calls: Vec<i32>,
    last_token: i32,
    replied: bool,
    resumed: bool,
    asked: BTreeMap<&'static str, usize>,
}

/// The filter in one worker.
pub struct Host {
    store: Store<Data>,
    instance: Instance,
}

impl Host {
    /// Loads the module and configures it, at this time since the Unix epoch.
    ///
    /// # Panics
    /// If it does not load, or refuses the configuration.
    pub fn start(configuration: &str, now: Duration) -> Self {
        let mut linker = Linker::new(MODULE.engine());
        define(&mut linker).expect("each name once");
        linker.define_unknown_imports_as_traps(&MODULE).expect("functions");
        let data = Data { configuration: configuration.into(), now, ..Data::default() };
        let mut store = Store::new(MODULE.engine(), data);
        store.set_fuel(u64::MAX).expect("it counts");
        let instance = linker.instantiate(&mut store, &MODULE).expect("an instance");
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        let mut host = Self { store, instance };
        host.call("_initialize", &[]);
        host.call("proxy_on_context_create", &[ROOT, 0]);
        let (configured, _) = host.call("proxy_on_configure", &[ROOT, number(configuration.len())]);
        assert_eq!(configured, 1, "the configuration is refused");
        host
    }

    /// Lets a tick pass. `answer` answers the calls that the filter makes in it.
    pub fn tick(&mut self, answer: &Answer) {
        self.store.data_mut().answer = answer.clone();
        self.call("proxy_on_tick", &[ROOT]);
        self.answer_calls(&mut Vec::new());
    }

    /// Takes a request from beginning to end. `answer` answers its calls.
    pub fn serve(&mut self, request: &[Field], answer: &Answer) -> Served {
        let data = self.store.data_mut();
        (data.request, data.answer) = (request.to_vec(), answer.clone());
        (data.replied, data.resumed) = (false, false);
        let mut callbacks = vec![self.call("proxy_on_context_create", &[REQUEST, ROOT]).1];
        let (action, called) = self.call("proxy_on_request_headers", &[REQUEST, number(request.len()), 1]);
        callbacks.push(called);
        let sent = self.answer_calls(&mut callbacks);
        let data = self.store.data();
        let goes_on = !data.replied && (action == CONTINUE || data.resumed);
        let forwarded = goes_on.then(|| data.request.clone());
        callbacks.push(self.call("proxy_on_response_headers", &[REQUEST, 1, 0]).1);
        callbacks.push(self.call("proxy_on_done", &[REQUEST]).1);
        callbacks.push(self.call("proxy_on_delete", &[REQUEST]).1);
        Served { forwarded, sent, callbacks }
    }

    /// Answers calls until there are none, and returns how many there were.
    fn answer_calls(&mut self, callbacks: &mut Vec<Callback>) -> usize {
        let mut sent = 0;
        while let Some(token) = self.store.data_mut().calls.pop() {
            sent += 1;
            let Answer { fields, body } = &self.store.data().answer;
            let arguments = [ROOT, token, number(fields.len()), number(body.len()), 0];
            callbacks.push(self.call("proxy_on_http_call_response", &arguments).1);
        }
        sent
    }

    fn call(&mut self, name: &'static str, arguments: &[i32]) -> (i32, Callback) {
        let function = self.instance.get_func(&mut self.store, name).expect("it is exported");
        let arguments: Vec<_> = arguments.iter().copied().map(Val::I32).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        self.store.data_mut().asked.clear();
        let before = self.store.get_fuel().expect("it counts");
        function.call(&mut self.store, &arguments, &mut results).expect("nothing traps");
        let instructions = before - self.store.get_fuel().expect("it counts");
        let asked = self.store.data().asked.clone();
        (results.first().and_then(Val::i32).unwrap_or(0), Callback { name, asked, instructions })
    }
}

type Env<'a> = Caller<'a, Data>;

fn define(linker: &mut Linker<Data>) -> Result<()> {
    const ENV: &str = "env";
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(ENV, "proxy_log", |mut env: Env<'_>, _level: i32, _text: i32, _size: i32| {
        note(&mut env, "proxy_log")
    })?;
    linker.func_wrap(ENV, "proxy_get_buffer_bytes", buffer)?;
    linker.func_wrap(
        ENV,
        "proxy_get_header_map_pairs",
        |mut env: Env<'_>, map: i32, data: i32, size: i32| {
            note(&mut env, "proxy_get_header_map_pairs");
            let fields = match map {
                REQUEST_HEADERS => &env.data().request,
                CALL_HEADERS => &env.data().answer.fields,
                other => panic!("list {other} is read"),
            };
            let bytes = list(fields);
            hand_over(&mut env, &bytes, data, size)
        },
    )?;
    linker.func_wrap(ENV, "proxy_add_header_map_value", add)?;
    linker.func_wrap(
        ENV,
        "proxy_remove_header_map_value",
        |mut env: Env<'_>, map: i32, name: i32, size: i32| {
            note(&mut env, "proxy_remove_header_map_value");
            assert_eq!(map, REQUEST_HEADERS);
            let name = text(&env, name, size);
            env.data_mut().request.retain(|(known, _)| *known != name);
            OK
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_get_property",
        |mut env: Env<'_>, path: i32, path_size: i32, data: i32, size: i32| {
            note(&mut env, "proxy_get_property");
            match text(&env, path, path_size).as_str() {
                "source\0address" => hand_over(&mut env, b"192.0.2.1:50000", data, size),
                _ => Ok(NOT_FOUND),
            }
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_set_property",
        |mut env: Env<'_>, _path: i32, _path_size: i32, _value: i32, _size: i32| {
            note(&mut env, "proxy_set_property")
        },
    )?;
    linker.func_wrap(ENV, "proxy_send_local_response", reply)?;
    linker.func_wrap(ENV, "proxy_continue_stream", |mut env: Env<'_>, _stream: i32| {
        env.data_mut().resumed = true;
        note(&mut env, "proxy_continue_stream")
    })?;
    linker.func_wrap(ENV, "proxy_set_effective_context", |mut env: Env<'_>, _context: i32| {
        note(&mut env, "proxy_set_effective_context")
    })?;
    linker.func_wrap(ENV, "proxy_http_call", http_call)?;
    linker.func_wrap(ENV, "proxy_set_tick_period_milliseconds", |mut env: Env<'_>, _period: i32| {
        note(&mut env, "proxy_set_tick_period_milliseconds")
    })?;
    linker.func_wrap(ENV, "proxy_call_foreign_function", foreign_function)?;
    linker.func_wrap(
        ENV,
        "proxy_define_metric",
        |mut env: Env<'_>, _kind: i32, _name: i32, _size: i32, id: i32| {
            put(&mut env, id, &1u32.to_le_bytes());
            note(&mut env, "proxy_define_metric")
        },
    )?;
    linker.func_wrap(ENV, "proxy_increment_metric", |mut env: Env<'_>, _id: i32, _offset: i64| {
        note(&mut env, "proxy_increment_metric")
    })?;
    linker.func_wrap(ENV, "proxy_record_metric", |mut env: Env<'_>, _id: i32, _value: i64| {
        note(&mut env, "proxy_record_metric")
    })?;
    linker.func_wrap(WASI, "clock_time_get", |mut env: Env<'_>, _clock: i32, _precision: i64, at: i32| {
        let nanoseconds = u64::try_from(env.data().now.as_nanos()).expect("a time of this age");
        put(&mut env, at, &nanoseconds.to_le_bytes());
        note(&mut env, "clock_time_get")
    })?;
    linker.func_wrap(WASI, "random_get", |mut env: Env<'_>, at: i32, size: i32| {
        // The same in every run, so that the number of instructions is too.
        put(&mut env, at, &vec![7; length(size)]);
        note(&mut env, "random_get")
    })?;
    Ok(())
}

fn note(env: &mut Env<'_>, name: &'static str) -> i32 {
    *env.data_mut().asked.entry(name).or_default() += 1;
    OK
}

fn buffer(mut env: Env<'_>, kind: i32, _start: i32, _most: i32, data: i32, size: i32) -> Result<i32> {
    note(&mut env, "proxy_get_buffer_bytes");
    let bytes = match kind {
        CONFIGURATION => env.data().configuration.clone(),
        CALL_BODY => env.data().answer.body.clone().into_bytes(),
        other => panic!("buffer {other} is read"),
    };
    hand_over(&mut env, &bytes, data, size)
}

fn add(mut env: Env<'_>, map: i32, name: i32, name_size: i32, value: i32, value_size: i32) -> i32 {
    note(&mut env, "proxy_add_header_map_value");
    assert_eq!(map, REQUEST_HEADERS);
    let (name, value) = (text(&env, name, name_size), text(&env, value, value_size));
    let request = &mut env.data_mut().request;
    // The app would have to choose between the filter's value and the client's.
    assert!(request.iter().all(|(known, _)| *known != name), "{name} is there already");
    request.push((name, value));
    OK
}

#[expect(clippy::too_many_arguments, reason = "the ABI's")]
fn reply(
    mut env: Env<'_>,
    _status: i32,
    _details: i32,
    _details_size: i32,
    _body: i32,
    _body_size: i32,
    _headers: i32,
    _headers_size: i32,
    _grpc_status: i32,
) -> i32 {
    env.data_mut().replied = true;
    note(&mut env, "proxy_send_local_response")
}

#[expect(clippy::too_many_arguments, reason = "the ABI's")]
fn http_call(
    mut env: Env<'_>,
    _upstream: i32,
    _upstream_size: i32,
    _headers: i32,
    _headers_size: i32,
    _body: i32,
    _body_size: i32,
    _trailers: i32,
    _trailers_size: i32,
    _timeout: i32,
    token_at: i32,
) -> i32 {
    let data = env.data_mut();
    data.last_token += 1;
    let token = data.last_token;
    data.calls.push(token);
    put(&mut env, token_at, &token.to_le_bytes());
    note(&mut env, "proxy_http_call")
}

fn foreign_function(
    mut env: Env<'_>,
    name: i32,
    name_size: i32,
    argument: i32,
    argument_size: i32,
    data: i32,
    size: i32,
) -> Result<i32> {
    note(&mut env, "proxy_call_foreign_function");
    assert_eq!(text(&env, name, name_size), "verify_signature");
    let argument = bytes(&env, argument, argument_size);
    let answer: &[u8] = if is_signed(&argument) { &[0x08, 0x01] } else { b"\x12\x02no" };
    hand_over(&mut env, answer, data, size)
}

/// Envoy's `verify_signature`. Its argument is a protobuf message with the hash's name, the public key, the signature
/// and the message.
fn is_signed(mut argument: &[u8]) -> bool {
    let [hash, key, signature, message] = [(); 4].map(|()| {
        let (mut length, mut at) = (0, 1);
        for shift in (0..).step_by(7) {
            length |= usize::from(argument[at] & 0x7f) << shift;
            at += 1;
            if argument[at - 1] & 0x80 == 0 {
                break;
            }
        }
        let (value, rest) = argument[at..].split_at(length);
        argument = rest;
        value
    });
    assert_eq!(hash, b"sha256");
    // The prefix of the key in a `SubjectPublicKeyInfo`: for P-256, and for RSA with 2048 bits.
    match key.len() {
        91 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key[26..]).verify(message, signature),
        _ => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key[24..]).verify(message, signature),
    }
    .is_ok()
}

/// Copies bytes into memory that the module allocates.
fn hand_over(env: &mut Env<'_>, bytes: &[u8], data: i32, size: i32) -> Result<i32> {
    const ALLOCATE: &str = "proxy_on_memory_allocate";
    note(env, ALLOCATE);
    let allocate = env.get_export(ALLOCATE).and_then(wasmtime::Extern::into_func).expect("it is exported");
    let length = number(bytes.len());
    let address = allocate.typed::<i32, i32>(&mut *env)?.call(&mut *env, length)?;
    put(env, address, bytes);
    put(env, data, &address.to_le_bytes());
    put(env, size, &length.to_le_bytes());
    Ok(OK)
}

/// A list of headers in the ABI's format.
fn list(fields: &[Field]) -> Vec<u8> {
    let size = |bytes: usize| number(bytes).to_le_bytes();
    let mut bytes = size(fields.len()).to_vec();
    bytes.extend(fields.iter().flat_map(|(name, value)| [size(name.len()), size(value.len())]).flatten());
    for (name, value) in fields {
        bytes.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    bytes
}

fn bytes(env: &Env<'_>, at: i32, size: i32) -> Vec<u8> {
    let memory = env.data().memory.expect("it exports its memory");
    let at = length(at);
    memory.data(env)[at..at + length(size)].to_vec()
}

fn text(env: &Env<'_>, at: i32, size: i32) -> String {
    String::from_utf8(bytes(env, at, size)).expect("text")
}

fn put(env: &mut Env<'_>, at: i32, bytes: &[u8]) {
    let memory = env.data().memory.expect("it exports its memory");
    memory.write(env, length(at), bytes).expect("the module's memory");
}

fn number(length: usize) -> i32 {
    i32::try_from(length).expect("short")
}

/// Reads a number as unsigned.
fn length(number: i32) -> usize {
    usize::try_from(number.cast_unsigned()).expect("32 bits")
}
