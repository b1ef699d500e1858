//! The host functions of wasm-nginx-module 0.7: their names, types and results. Nothing else can be imported.

use wasmtime::{Caller, Extern, FuncType, Linker, Result, Val, ValType, bail};

use super::exchange::{Callout, Exchange, Field, Head, Phase, Reply};
use super::map;
use super::violation::Violation;
use super::vm::Host;
use super::wasi::{read, write};

type Env<'a> = Caller<'a, Host>;

// Results of host functions, as the ABI numbers them.
const OK: i32 = 0;
const NOT_FOUND: i32 = 1;
const BAD_ARGUMENT: i32 = 2;
const INVALID_MEMORY: i32 = 6;
const INTERNAL_FAILURE: i32 = 10;
const UNIMPLEMENTED: i32 = 12;

/// Functions that exist only so that modules load, with their number of parameters.
const UNIMPLEMENTED_FUNCTIONS: [(&str, usize); 19] = [
    ("proxy_call_foreign_function", 6),
    ("proxy_clear_route_cache", 0),
    ("proxy_dequeue_shared_queue", 3),
    ("proxy_done", 0),
    ("proxy_enqueue_shared_queue", 3),
    ("proxy_get_current_time_nanoseconds", 1),
    ("proxy_get_shared_data", 5),
    ("proxy_get_status", 3),
    ("proxy_grpc_call", 12),
    ("proxy_grpc_cancel", 1),
    ("proxy_grpc_close", 1),
    ("proxy_grpc_send", 4),
    ("proxy_grpc_stream", 9),
    ("proxy_register_shared_queue", 3),
    ("proxy_resolve_shared_queue", 5),
    ("proxy_set_buffer_bytes", 5),
    ("proxy_set_header_map_pairs", 3),
    ("proxy_set_shared_data", 5),
    ("proxy_set_tick_period_milliseconds", 1),
];

pub(super) fn define(linker: &mut Linker<Host>) -> Result<()> {
    const ENV: &str = "env";
    for (name, parameters) in UNIMPLEMENTED_FUNCTIONS {
        let kind = FuncType::new(linker.engine(), vec![ValType::I32; parameters], [ValType::I32]);
        linker.func_new(ENV, name, kind, |_, _, results| {
            results[0] = Val::I32(UNIMPLEMENTED);
            Ok(())
        })?;
    }
    linker.func_wrap(ENV, "proxy_log", log)?;
    linker.func_wrap(ENV, "proxy_get_configuration", |mut env: Env<'_>, data: i32, size: i32| {
        match env.data().configuration.clone() {
            Some(bytes) => hand_over(&mut env, &bytes, data, size),
            None => Ok(NOT_FOUND),
        }
    })?;
    linker.func_wrap(ENV, "proxy_get_buffer_bytes", buffer)?;
    linker.func_wrap(ENV, "proxy_get_property", property)?;
    linker.func_wrap(ENV, "proxy_set_property", set_property)?;
    linker.func_wrap(ENV, "proxy_get_header_map_pairs", header_pairs)?;
    linker.func_wrap(ENV, "proxy_get_header_map_value", header_value)?;
    linker.func_wrap(
        ENV,
        "proxy_remove_header_map_value",
        |mut env: Env<'_>, map: i32, name: i32, size: i32| edit(&mut env, map, (name, size), None, Edit::Set),
    )?;
    linker.func_wrap(
        ENV,
        "proxy_replace_header_map_value",
        |mut env: Env<'_>, map: i32, name: i32, size: i32, value: i32, value_size: i32| {
            edit(&mut env, map, (name, size), Some((value, value_size)), Edit::Set)
        },
    )?;
    linker.func_wrap(
        ENV,
        "proxy_add_header_map_value",
        |mut env: Env<'_>, map: i32, name: i32, size: i32, value: i32, value_size: i32| {
            edit(&mut env, map, (name, size), Some((value, value_size)), Edit::Add)
        },
    )?;
    linker.func_wrap(ENV, "proxy_send_local_response", reply)?;
    linker.func_wrap(ENV, "proxy_send_http_response", reply)?;
    linker.func_wrap(ENV, "proxy_http_call", http_call)?;
    linker.func_wrap(ENV, "proxy_continue_stream", |mut env: Env<'_>, _stream: i32| resume(&mut env))?;
    linker.func_wrap(ENV, "proxy_continue_request", |mut env: Env<'_>| resume(&mut env))?;
    // Functions that report success and do nothing.
    linker.func_wrap(ENV, "proxy_continue_response", || OK)?;
    linker.func_wrap(ENV, "proxy_close_stream", |_stream: i32| OK)?;
    linker.func_wrap(ENV, "proxy_set_effective_context", |mut env: Env<'_>, context: i32| {
        env.data_mut().effective = Some(context.cast_unsigned());
        OK
    })?;
    linker.func_wrap(ENV, "proxy_define_metric", |_: i32, _: i32, _: i32, _: i32| OK)?;
    linker.func_wrap(ENV, "proxy_increment_metric", |_: i32, _: i64| OK)?;
    linker.func_wrap(ENV, "proxy_record_metric", |_: i32, _: i64| OK)?;
    // The ABI has a pointer where this has an `i64`, so a module that follows the ABI does not load.
    linker.func_wrap(ENV, "proxy_get_metric", |_: i32, _: i64| OK)?;
    Ok(())
}

fn log(mut env: Env<'_>, level: i32, text: i32, size: i32) -> i32 {
    let Some(text) = read(&env, text, size).map(<[u8]>::to_vec) else { return INVALID_MEMORY };
    if text.iter().any(|byte| b"\r\n".contains(byte)) {
        let line = String::from_utf8_lossy(&text).into_owned();
        env.data_mut().violate(Violation::RawLineBreak(line));
    }
    let level = match level {
        0 | 1 => "debug",
        2 => "info",
        3 => "warn",
        5 => "emerg",
        _ => "error",
    };
    env.data().record.log(level, &text);
    OK
}

fn buffer(mut env: Env<'_>, kind: i32, start: i32, size: i32, data: i32, length: i32) -> Result<i32> {
    const BODIES: [i32; 2] = [0, 1];
    const CALL_BODY: i32 = 4;
    const CONFIGURATION: i32 = 7;
    let bytes = match kind {
        CONFIGURATION => env.data().configuration.as_deref().map(<[u8]>::to_vec),
        CALL_BODY => match &env.data().exchange {
            Some(exchange) => exchange.answer.as_ref().map(|answer| answer.body.clone()),
            None => return Ok(BAD_ARGUMENT),
        },
        // A filter gets no body unless its route asks APISIX for it.
        body if BODIES.contains(&body) => None,
        _ => return Ok(UNIMPLEMENTED),
    };
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Ok(NOT_FOUND) };
    // The whole configuration is passed, whatever range was requested.
    if kind == CONFIGURATION {
        return hand_over(&mut env, &bytes, data, length);
    }
    let (Ok(start), Ok(size)) = (usize::try_from(start), usize::try_from(size)) else {
        return Ok(BAD_ARGUMENT);
    };
    if size == 0 || start >= bytes.len() {
        return Ok(BAD_ARGUMENT);
    }
    let end = start + size;
    if i32::try_from(end).is_err() {
        env.data_mut().violate(Violation::ReadsPastBuffer);
    }
    hand_over(&mut env, &bytes[start..end.min(bytes.len())], data, length)
}

/// nginx's variables, by name. Paths with several segments, as the ABI has them, are not variables.
fn property(mut env: Env<'_>, path: i32, path_size: i32, data: i32, size: i32) -> Result<i32> {
    let Some(path) = read(&env, path, path_size).map(<[u8]>::to_ascii_lowercase) else {
        return Ok(INVALID_MEMORY);
    };
    if path == b"plugin_root_id" {
        if env.data().is_ending {
            env.data_mut().violate(Violation::ReadsRootIdAtEnd);
            bail!("the worker crashed");
        }
        return hand_over(&mut env, b"authgear-filter", data, size);
    }
    let Some(Exchange { request, .. }) = &env.data().exchange else { return Ok(BAD_ARGUMENT) };
    let value = match path.as_slice() {
        b"remote_addr" => request.peer.ip().to_string().into_bytes(),
        b"remote_port" => request.peer.port().to_string().into_bytes(),
        b"request_method" => request.method.clone(),
        b"request_uri" => request.target.clone(),
        b"scheme" => b"http".to_vec(),
        _ => return Ok(NOT_FOUND),
    };
    hand_over(&mut env, &value, data, size)
}

/// Writes a variable of nginx. One that is not declared is a line in the log, each time.
fn set_property(mut env: Env<'_>, path: i32, path_size: i32, value: i32, value_size: i32) -> i32 {
    let text = |(at, size)| read(&env, at, size).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let (name, value) = (text((path, path_size)), text((value, value_size)));
    env.data_mut().acts();
    let host = env.data_mut();
    let Some(exchange) = &mut host.exchange else { return BAD_ARGUMENT };
    let (Some(name), Some(value)) = (name, value) else { return INVALID_MEMORY };
    match exchange.variables.get_mut(&name.to_ascii_lowercase()) {
        Some(variable) => {
            *variable = value;
            OK
        }
        None => {
            let line = format!(
                "variable \"{name}\" not found for writing; maybe it is a built-in variable that is not changeable \
                 or you forgot to use \"set ${name} '';\" in the config file to define it first"
            );
            host.record.log("error", line.as_bytes());
            NOT_FOUND
        }
    }
}

const REQUEST: i32 = 0;
const RESPONSE: i32 = 2;
const CALL_RESPONSE: i32 = 6;

fn header_pairs(mut env: Env<'_>, map: i32, data: i32, size: i32) -> Result<i32> {
    let Some(exchange) = &env.data().exchange else { return Ok(BAD_ARGUMENT) };
    let fields = match map {
        REQUEST => match exchange.request.listed() {
            Ok(listed) => listed,
            Err(_) => return crash(&mut env),
        },
        RESPONSE => {
            let status = (b":status".to_vec(), exchange.status.to_string().into_bytes());
            exchange.response.0.iter().cloned().chain([status]).collect()
        }
        CALL_RESPONSE => match call_fields(exchange) {
            Some(_) if !exchange.in_answer => {
                env.data_mut().violate(Violation::ReadsCallOutsideCallback);
                return Ok(NOT_FOUND);
            }
            Some(fields) => fields,
            None => {
                env.data_mut().violate(Violation::ReadsFailedCall);
                return Ok(NOT_FOUND);
            }
        },
        _ => return Ok(UNIMPLEMENTED),
    };
    let bytes = map::write(&fields);
    hand_over(&mut env, &bytes, data, size)
}

fn header_value(mut env: Env<'_>, map: i32, name: i32, name_size: i32, data: i32, size: i32) -> Result<i32> {
    let name = read(&env, name, name_size).map(<[u8]>::to_vec);
    let Some(exchange) = &env.data().exchange else { return Ok(BAD_ARGUMENT) };
    let Some(name) = name else { return Ok(INVALID_MEMORY) };
    let value = match map {
        REQUEST => match exchange.request.pseudo(&name) {
            Ok(pseudo) => pseudo.or_else(|| exchange.request.fields.first(&name)).map(<[u8]>::to_vec),
            Err(_) => return crash(&mut env),
        },
        RESPONSE if name == b":status" => Some(exchange.status.to_string().into_bytes()),
        RESPONSE => exchange.response.first(&name).map(<[u8]>::to_vec),
        CALL_RESPONSE => {
            let fields = call_fields(exchange).unwrap_or_default();
            fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)).map(|(_, value)| value)
        }
        _ => return Ok(UNIMPLEMENTED),
    };
    match value {
        Some(value) => hand_over(&mut env, &value, data, size),
        None => Ok(NOT_FOUND),
    }
}

/// The headers of the answer that the callback is about; none if the call failed.
pub(super) fn call_fields(exchange: &Exchange) -> Option<Vec<Field>> {
    let answer = exchange.answer.as_ref()?;
    let status = (b":status".to_vec(), answer.status.to_string().into_bytes());
    Some(answer.fields.0.iter().cloned().chain([status]).collect())
}

#[derive(Clone, Copy)]
enum Edit {
    Set,
    Add,
}

/// Changes a header of the request or the response. `None` removes it.
fn edit(env: &mut Env<'_>, map: i32, name: (i32, i32), value: Option<(i32, i32)>, edit: Edit) -> i32 {
    let bytes = |(at, size)| read(env, at, size).map(<[u8]>::to_vec);
    let (name, value) = (bytes(name), value.map_or(Some(Vec::new()), bytes));
    env.data_mut().acts();
    let Some(exchange) = &mut env.data_mut().exchange else { return BAD_ARGUMENT };
    let (Some(name), Some(value)) = (name, value) else { return INVALID_MEMORY };
    if name.starts_with(b":") {
        // A filter should leave these alone, so they are not imitated.
        return BAD_ARGUMENT;
    }
    match (map, edit) {
        (REQUEST, Edit::Set) => exchange.request.fields.set(&name, &value),
        (REQUEST, Edit::Add) => exchange.request.fields.add_to_request(&name, &value),
        (RESPONSE, Edit::Set) => exchange.response.set(&name, &value),
        (RESPONSE, Edit::Add) => exchange.response.add(&name, &value),
        _ => return UNIMPLEMENTED,
    }
    OK
}

fn resume(env: &mut Env<'_>) -> i32 {
    env.data_mut().acts();
    if let Some(exchange) = &mut env.data_mut().exchange {
        exchange.resumed = true;
    }
    OK
}

#[expect(clippy::too_many_arguments, reason = "the ABI's")]
fn reply(
    mut env: Env<'_>,
    status: i32,
    _details: i32,
    _details_size: i32,
    body: i32,
    body_size: i32,
    headers: i32,
    headers_size: i32,
    _grpc_status: i32,
) -> i32 {
    let body = read(&env, body, body_size).map(<[u8]>::to_vec);
    let headers = read(&env, headers, headers_size).map(<[u8]>::to_vec);
    let host = env.data_mut();
    host.acts();
    let Some(exchange) = &mut host.exchange else { return BAD_ARGUMENT };
    if exchange.phase == Phase::Response {
        host.violate(Violation::TooLate("reply"));
        return OK;
    }
    let (Some(body), Some(headers)) = (body, headers) else { return INVALID_MEMORY };
    let Some(fields) = map::read(&headers) else { return INVALID_MEMORY };
    // A status below 100, or negative as an `i32`, is not a reply to the worker.
    if status < 100 {
        host.violate(Violation::StatusOfNoReply(status));
        return OK;
    }
    let Ok(status) = u16::try_from(status) else { return BAD_ARGUMENT };
    let is_refused = fields.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case(b"content-length") && !value.iter().all(u8::is_ascii_digit)
    });
    for (name, value) in fields {
        exchange.response.add(&name, &value);
    }
    exchange.refused = is_refused;
    if is_refused {
        exchange.response.remove(b"content-length");
        exchange.reply = Some(Reply { status, body: b"memory of somebody else".to_vec() });
        return BAD_ARGUMENT;
    }
    exchange.reply = Some(Reply { status, body });
    OK
}

#[expect(clippy::too_many_arguments, reason = "the ABI's")]
fn http_call(
    mut env: Env<'_>,
    upstream: i32,
    upstream_size: i32,
    headers: i32,
    headers_size: i32,
    body: i32,
    body_size: i32,
    _trailers: i32,
    _trailers_size: i32,
    timeout: i32,
    token_at: i32,
) -> i32 {
    let upstream = read(&env, upstream, upstream_size).map(<[u8]>::to_vec);
    let headers = read(&env, headers, headers_size).map(<[u8]>::to_vec);
    let body = read(&env, body, body_size).map(<[u8]>::to_vec);
    let host = env.data_mut();
    let Some(exchange) = &mut host.exchange else { return BAD_ARGUMENT };
    if exchange.phase == Phase::Response {
        host.violate(Violation::TooLate("call"));
        return BAD_ARGUMENT;
    }
    let (Some(upstream), Some(headers), Some(body)) = (upstream, headers, body) else {
        return INVALID_MEMORY;
    };
    let Some(upstream) = String::from_utf8(upstream).ok().filter(|upstream| is_host_and_port(upstream))
    else {
        return BAD_ARGUMENT;
    };
    let (None, Ok(timeout_milliseconds)) = (&exchange.callout, u32::try_from(timeout)) else {
        return INTERNAL_FAILURE;
    };
    let Some(mut fields) = map::read(&headers) else { return INVALID_MEMORY };
    fields.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
    let is_foreign = !has_credentials_of(&exchange.request, &fields, &body);
    let token = host.next_token;
    let missing = [":method", ":path", ":scheme", ":authority"]
        .into_iter()
        .find(|pseudo| !fields.iter().any(|(name, value)| name == pseudo.as_bytes() && !value.is_empty()));
    exchange.callout = Some(Callout { token, upstream, fields, body, timeout_milliseconds });
    host.next_token += 1;
    if let Some(missing) = missing {
        host.violate(Violation::MissingPseudoHeader(missing));
    }
    if is_foreign {
        host.violate(Violation::ForeignCall);
    }
    write(&mut env, token_at, &token.to_le_bytes()).map_or(INVALID_MEMORY, |()| OK)
}

/// Whether the cookies and the token of a call are those of a request. If the call sends a form, the token is the
/// form's, because its `Authorization` is then the filter's own. Otherwise it is the bearer token.
fn has_credentials_of(request: &Head, call: &[Field], form: &[u8]) -> bool {
    let has = |wanted: &[u8]| {
        wanted.is_empty()
            || request
                .fields
                .0
                .iter()
                .any(|(_, value)| value.windows(wanted.len()).any(|part| part == wanted))
    };
    call.iter().all(|(name, value)| match name.as_slice() {
        b"cookie" => value.split(|&byte| byte == b';').all(|pair| has(pair.trim_ascii())),
        b"authorization" if !form.is_empty() => true,
        b"authorization" => value.strip_prefix(b"Bearer ").is_none_or(has),
        _ => true,
    }) && form_urlencoded::parse(form).all(|(name, value)| name != "token" || has(value.as_bytes()))
}

fn is_host_and_port(upstream: &str) -> bool {
    let (host, port) = upstream.rsplit_once(':').unwrap_or((upstream, "80"));
    !host.is_empty() && !upstream.contains(['/', '?']) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Copies bytes into memory that the module allocates. If there are none, only the length is written.
fn hand_over(env: &mut Env<'_>, bytes: &[u8], data: i32, size: i32) -> Result<i32> {
    let length = u32::try_from(bytes.len())?;
    if write(env, size, &length.to_le_bytes()).is_none() {
        return Ok(INVALID_MEMORY);
    }
    if bytes.is_empty() {
        return Ok(OK);
    }
    let allocate = ["proxy_on_memory_allocate", "malloc"]
        .into_iter()
        .find_map(|name| env.get_export(name).and_then(Extern::into_func));
    let Some(allocate) = allocate else { return Ok(INTERNAL_FAILURE) };
    let mut address = [Val::I32(0)];
    allocate.call(&mut *env, &[Val::I32(length.cast_signed())], &mut address)?;
    let [Val::I32(address)] = address else { return Ok(INTERNAL_FAILURE) };
    if address == 0 {
        return Ok(INTERNAL_FAILURE);
    }
    let written = write(env, address, bytes).and_then(|()| write(env, data, &address.to_le_bytes()));
    Ok(written.map_or(INVALID_MEMORY, |()| OK))
}

fn crash(env: &mut Env<'_>) -> Result<i32> {
    env.data_mut().violate(Violation::ReadsAbsentHost);
    bail!("the worker crashed")
}
