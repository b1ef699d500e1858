//! The proxy-wasm ABI 0.2.1: what the host gives the module (imports), and what it calls (exports). The only
//! module with `unsafe`.
//!
//! Why not the Rust SDK: its table of calls keeps an entry for ever when a client leaves during a call, it
//! takes header values as `&str` only, it panics on a status that it does not know (APISIX answers 12 where a
//! function is missing) and on header names that are not UTF-8, and after one panic its cells stay borrowed,
//! which ends the filter in that worker of APISIX. Here every status is a number, every value is bytes, and
//! the imports are those that this filter needs, all of which APISIX defines.

#![allow(unsafe_code, reason = "host functions take raw pointers, and exports need unmangled names")]

use std::ptr::{null, null_mut};

use crate::proxy::filter;

/// What a host function answered when it did not do what it was asked, as the ABI numbers it; 12 is
/// "unimplemented". Named here only where something depends on the number.
pub(super) type Status = u32;

const OK: Status = 0;

/// `Continue` of the callbacks for headers.
const CONTINUE: u32 = 0;
/// `Pause` of the callbacks for headers.
const PAUSE: u32 = 1;

/// The lists of headers that a host keeps.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Map {
    Request = 0,
    Response = 2,
    CallResponse = 6,
}

/// The buffers that a host keeps.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Buffer {
    CallResponseBody = 4,
    PluginConfiguration = 7,
}

mod import {
    use super::Status;

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn proxy_log(level: u32, text: *const u8, size: usize) -> Status;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            most: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> Status;
        pub(super) fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> Status;
        pub(super) fn proxy_get_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> Status;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> Status;
        pub(super) fn proxy_add_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> Status;
        pub(super) fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> Status;
        pub(super) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> Status;
        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> Status;
        pub(super) fn proxy_continue_stream(stream: u32) -> Status;
        pub(super) fn proxy_set_effective_context(context: u32) -> Status;
        pub(super) fn proxy_http_call(
            upstream: *const u8,
            upstream_size: usize,
            headers: *const u8,
            headers_size: usize,
            body: *const u8,
            body_size: usize,
            trailers: *const u8,
            trailers_size: usize,
            timeout_milliseconds: u32,
            token: *mut u32,
        ) -> Status;
        pub(super) fn proxy_set_tick_period_milliseconds(milliseconds: u32) -> Status;
        pub(super) fn proxy_call_foreign_function(
            name: *const u8,
            name_size: usize,
            argument: *const u8,
            argument_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> Status;
        pub(super) fn proxy_define_metric(
            kind: u32,
            name: *const u8,
            name_size: usize,
            id: *mut u32,
        ) -> Status;
        pub(super) fn proxy_increment_metric(id: u32, offset: i64) -> Status;
    }

    unsafe extern "C" {
        /// The linker's: constructors of statics.
        pub(super) fn __wasm_call_ctors();
    }
}

fn done(status: Status) -> Result<(), Status> {
    if status == OK { Ok(()) } else { Err(status) }
}

/// Asks a host function that returns bytes. `ask` is given where to put their address and their length.
fn bytes(ask: impl FnOnce(*mut *mut u8, *mut usize) -> Status) -> Result<Vec<u8>, Status> {
    let (mut data, mut size) = (null_mut(), 0);
    done(ask(&raw mut data, &raw mut size))?;
    if data.is_null() || size == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: a host returns bytes in memory that it had from `proxy_on_memory_allocate` below, for this very
    // call and of this size, and that nothing else has been given.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

pub(super) fn log(level: u32, text: &str) -> Result<(), Status> {
    // SAFETY: the pointer and the length are those of a live slice, which the host only reads.
    done(unsafe { import::proxy_log(level, text.as_ptr(), text.len()) })
}

pub(super) fn buffer(buffer: Buffer, size: usize) -> Result<Vec<u8>, Status> {
    // SAFETY: the host writes the two out-parameters, which live until it returns.
    bytes(|data, length| unsafe { import::proxy_get_buffer_bytes(buffer as u32, 0, size, data, length) })
}

pub(super) fn headers(map: Map) -> Result<Vec<u8>, Status> {
    // SAFETY: as in `buffer`.
    bytes(|data, length| unsafe { import::proxy_get_header_map_pairs(map as u32, data, length) })
}

pub(super) fn header(map: Map, name: &[u8]) -> Result<Vec<u8>, Status> {
    // SAFETY: as in `log` for the name, as in `buffer` for the rest.
    bytes(|data, length| unsafe {
        import::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, length)
    })
}

pub(super) fn replace_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: as in `log`, for both slices.
    done(unsafe {
        import::proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

pub(super) fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: as in `log`, for both slices.
    done(unsafe {
        import::proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

pub(super) fn remove_header(map: Map, name: &[u8]) -> Result<(), Status> {
    // SAFETY: as in `log`.
    done(unsafe { import::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

pub(super) fn property(path: &[u8]) -> Result<Vec<u8>, Status> {
    // SAFETY: as in `log` for the path, as in `buffer` for the rest.
    bytes(|data, length| unsafe { import::proxy_get_property(path.as_ptr(), path.len(), data, length) })
}

/// `grpc_status` is −1 for none.
pub(super) fn reply(
    status: u16,
    headers: &[u8],
    body: &[u8],
    details: &str,
    grpc_status: i32,
) -> Result<(), Status> {
    // SAFETY: as in `log`, for all slices.
    done(unsafe {
        import::proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

pub(super) fn continue_request() -> Result<(), Status> {
    const HTTP_REQUEST: u32 = 0;
    // SAFETY: no pointers.
    done(unsafe { import::proxy_continue_stream(HTTP_REQUEST) })
}

pub(super) fn act_for(context: u32) -> Result<(), Status> {
    // SAFETY: no pointers.
    done(unsafe { import::proxy_set_effective_context(context) })
}

pub(super) fn call(upstream: &str, headers: &[u8], timeout_milliseconds: u32) -> Result<u32, Status> {
    /// A list of no trailers.
    const NO_TRAILERS: [u8; 4] = [0; 4];
    let mut token = 0;
    // SAFETY: as in `log` for all slices; the host writes the token, which lives until it returns.
    done(unsafe {
        import::proxy_http_call(
            upstream.as_ptr(),
            upstream.len(),
            headers.as_ptr(),
            headers.len(),
            null(),
            0,
            NO_TRAILERS.as_ptr(),
            NO_TRAILERS.len(),
            timeout_milliseconds,
            &raw mut token,
        )
    })?;
    Ok(token)
}

/// 0 is never.
pub(super) fn set_tick_period(milliseconds: u32) -> Result<(), Status> {
    // SAFETY: no pointers.
    done(unsafe { import::proxy_set_tick_period_milliseconds(milliseconds) })
}

pub(super) fn foreign_function(name: &str, argument: &[u8]) -> Result<Vec<u8>, Status> {
    // SAFETY: as in `log` for both slices, as in `buffer` for the rest.
    bytes(|data, length| unsafe {
        import::proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            argument.as_ptr(),
            argument.len(),
            data,
            length,
        )
    })
}

pub(super) fn define_counter(name: &str) -> Result<u32, Status> {
    const COUNTER: u32 = 0;
    let mut id = 0;
    // SAFETY: as in `log` for the name; the host writes the id, which lives until it returns.
    done(unsafe { import::proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

pub(super) fn increment(counter: u32) -> Result<(), Status> {
    // SAFETY: no pointers.
    done(unsafe { import::proxy_increment_metric(counter, 1) })
}

const fn action(action: filter::Action) -> u32 {
    match action {
        filter::Action::Continue => CONTINUE,
        filter::Action::Pause => PAUSE,
    }
}

// What hosts call. Callbacks that do nothing here are not exported: each would cost an entry into the VM.

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: a host calls this once, before anything else. Without this call the linker would make every
    // export run the constructors.
    unsafe { import::__wasm_call_ctors() }
}

/// Memory for what a host returns; `bytes` takes it over.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(vec![0u8; size].into_boxed_slice()).cast()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    filter::on_context_create(context, root);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, size: usize) -> bool {
    filter::on_configure(root, size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _count: u32, _end_of_stream: u32) -> u32 {
    action(filter::on_request_headers(context))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _count: u32, _end_of_stream: u32) -> u32 {
    action(filter::on_response_headers(context))
}

/// The context is the plugin's: to a host, calls are the root context's. The token tells whose it is.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    _context: u32,
    token: u32,
    headers: u32,
    body: usize,
    _trailers: u32,
) {
    filter::on_http_call_response(token, headers, body);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    filter::on_tick(root);
}

/// APISIX logs an error for each request where this is missing.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(_context: u32) -> bool {
    true
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    filter::on_delete(context);
}
