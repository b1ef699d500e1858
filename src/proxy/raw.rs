//! The crate's only `unsafe`: declarations of the host functions, and two exports that wrap the SDK's.
//!
//! The SDK panics on an unknown status, and APISIX returns 12 if a function is missing. So each host function is
//! declared here a second time, with exactly the SDK's parameter types but a plain number as its result.
//! `proxy_http_call` is the exception: only the SDK may call it, because it keeps the table of calls and panics on an
//! answer to a call that it does not know.
//!
//! The SDK's `Action` lacks a value that Envoy needs and one that APISIX needs. So two of its exports are wrapped:
//! the step after linking (`finish/`) gives `authgear_on_request_headers` and `authgear_on_http_call_response` the
//! names of the exports that they call. The SDK owns these names, so its version is pinned.

#![allow(unsafe_code, reason = "host functions take raw pointers, and exports need unmangled names")]

use std::ptr::null_mut;

use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType, StreamType};

use super::entry;

/// The result of a host function, as the ABI numbers it. 0 is success, and 12 is "unimplemented".
pub(super) type HostStatus = u32;

const OK: HostStatus = 0;

mod import {
    use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType, StreamType};

    use super::HostStatus;

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn proxy_log(level: LogLevel, message_data: *const u8, message_size: usize) -> HostStatus;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> HostStatus;
        pub(super) fn proxy_get_buffer_bytes(
            buffer_type: BufferType,
            start: usize,
            max_size: usize,
            return_buffer_data: *mut *mut u8,
            return_buffer_size: *mut usize,
        ) -> HostStatus;
        pub(super) fn proxy_get_header_map_pairs(
            map_type: MapType,
            return_map_data: *mut *mut u8,
            return_map_size: *mut usize,
        ) -> HostStatus;
        pub(super) fn proxy_get_header_map_value(
            map_type: MapType,
            key_data: *const u8,
            key_size: usize,
            return_value_data: *mut *mut u8,
            return_value_size: *mut usize,
        ) -> HostStatus;
        pub(super) fn proxy_remove_header_map_value(
            map_type: MapType,
            key_data: *const u8,
            key_size: usize,
        ) -> HostStatus;
        pub(super) fn proxy_replace_header_map_value(
            map_type: MapType,
            key_data: *const u8,
            key_size: usize,
            value_data: *const u8,
            value_size: usize,
        ) -> HostStatus;
        pub(super) fn proxy_add_header_map_value(
            map_type: MapType,
            key_data: *const u8,
            key_size: usize,
            value_data: *const u8,
            value_size: usize,
        ) -> HostStatus;
        pub(super) fn proxy_get_property(
            path_data: *const u8,
            path_size: usize,
            return_value_data: *mut *mut u8,
            return_value_size: *mut usize,
        ) -> HostStatus;
        pub(super) fn proxy_set_property(
            path_data: *const u8,
            path_size: usize,
            value_data: *const u8,
            value_size: usize,
        ) -> HostStatus;
        pub(super) fn proxy_send_local_response(
            status_code: u32,
            status_code_details_data: *const u8,
            status_code_details_size: usize,
            body_data: *const u8,
            body_size: usize,
            headers_data: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> HostStatus;
        pub(super) fn proxy_continue_stream(stream_type: StreamType) -> HostStatus;
        pub(super) fn proxy_set_effective_context(context_id: u32) -> HostStatus;
        pub(super) fn proxy_call_foreign_function(
            function_name_data: *const u8,
            function_name_size: usize,
            arguments_data: *const u8,
            arguments_size: usize,
            results_data: *mut *mut u8,
            results_size: *mut usize,
        ) -> HostStatus;
        pub(super) fn proxy_define_metric(
            metric_type: MetricType,
            name_data: *const u8,
            name_size: usize,
            return_id: *mut u32,
        ) -> HostStatus;
        pub(super) fn proxy_increment_metric(metric_id: u32, offset: i64) -> HostStatus;
        pub(super) fn proxy_record_metric(metric_id: u32, value: u64) -> HostStatus;
    }
}

/// The SDK's own exports, which the module also calls itself.
mod sdk {
    unsafe extern "C" {
        pub(super) fn proxy_on_tick(context_id: u32);
        pub(super) fn proxy_on_request_headers(
            context_id: u32,
            num_headers: usize,
            end_of_stream: bool,
        ) -> u32;
        pub(super) fn proxy_on_http_call_response(
            context_id: u32,
            token_id: u32,
            num_headers: usize,
            body_size: usize,
            num_trailers: usize,
        );
    }
}

fn done(status: HostStatus) -> Result<(), HostStatus> {
    if status == OK { Ok(()) } else { Err(status) }
}

/// Calls a host function that returns bytes. `ask` gets the addresses to which it writes their address and length.
fn bytes(ask: impl FnOnce(*mut *mut u8, *mut usize) -> HostStatus) -> Result<Vec<u8>, HostStatus> {
    let (mut data, mut size) = (null_mut(), 0);
    done(ask(&raw mut data, &raw mut size))?;
    if data.is_null() || size == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: a proxy returns bytes in memory that the SDK's `proxy_on_memory_allocate` gave it: a boxed slice of
    // this size that has no other owner. The SDK takes it over in the same way.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

pub(super) fn log(level: LogLevel, text: &str) -> Result<(), HostStatus> {
    // SAFETY: the pointer and the length are those of a live slice, which the proxy only reads.
    done(unsafe { import::proxy_log(level, text.as_ptr(), text.len()) })
}

pub(super) fn buffer(buffer: BufferType, size: usize) -> Result<Vec<u8>, HostStatus> {
    // SAFETY: the proxy writes the two out-parameters, which live until it returns.
    bytes(|data, length| unsafe { import::proxy_get_buffer_bytes(buffer, 0, size, data, length) })
}

pub(super) fn pairs(map: MapType) -> Result<Vec<u8>, HostStatus> {
    // SAFETY: as in `buffer`.
    bytes(|data, length| unsafe { import::proxy_get_header_map_pairs(map, data, length) })
}

pub(super) fn value(map: MapType, name: &[u8]) -> Result<Vec<u8>, HostStatus> {
    // SAFETY: as in `log` for the name, as in `buffer` for the rest.
    bytes(|data, length| unsafe {
        import::proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, length)
    })
}

pub(super) fn replace(map: MapType, name: &[u8], value: &[u8]) -> Result<(), HostStatus> {
    // SAFETY: as in `log`, for both slices.
    done(unsafe {
        import::proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

pub(super) fn add(map: MapType, name: &[u8], value: &[u8]) -> Result<(), HostStatus> {
    // SAFETY: as in `log`, for both slices.
    done(unsafe {
        import::proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

pub(super) fn remove(map: MapType, name: &[u8]) -> Result<(), HostStatus> {
    // SAFETY: as in `log`.
    done(unsafe { import::proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

pub(super) fn property(path: &[u8]) -> Result<Vec<u8>, HostStatus> {
    // SAFETY: as in `log` for the path, as in `buffer` for the rest.
    bytes(|data, length| unsafe { import::proxy_get_property(path.as_ptr(), path.len(), data, length) })
}

pub(super) fn set_property(path: &[u8], value: &[u8]) -> Result<(), HostStatus> {
    // SAFETY: as in `log`, for both slices.
    done(unsafe { import::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// Sends a reply, and marks the entry if the proxy accepts it. A `grpc_status` of −1 means none.
pub(super) fn reply(
    status: u16,
    headers: &[u8],
    body: &[u8],
    details: &str,
    grpc_status: i32,
) -> Result<(), HostStatus> {
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
    })?;
    entry::acted();
    Ok(())
}

/// Resumes a paused request, and marks the entry.
pub(super) fn resume_request() -> Result<(), HostStatus> {
    // SAFETY: no pointers.
    done(unsafe { import::proxy_continue_stream(StreamType::HttpRequest) })?;
    entry::acted();
    Ok(())
}

pub(super) fn set_effective_context(context: u32) -> Result<(), HostStatus> {
    // SAFETY: no pointers.
    done(unsafe { import::proxy_set_effective_context(context) })
}

/// Sets the period of ticks; 0 stops them.
pub(super) fn set_tick_period(milliseconds: u32) -> Result<(), HostStatus> {
    // SAFETY: no pointers.
    done(unsafe { import::proxy_set_tick_period_milliseconds(milliseconds) })
}

pub(super) fn call_foreign_function(name: &str, argument: &[u8]) -> Result<Vec<u8>, HostStatus> {
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

pub(super) fn define_metric(kind: MetricType, name: &str) -> Result<u32, HostStatus> {
    let mut id = 0;
    // SAFETY: as in `log` for the name; the host writes the id, which lives until it returns.
    done(unsafe { import::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter or to a gauge.
pub(super) fn increment_metric(metric: u32, offset: i64) -> Result<(), HostStatus> {
    // SAFETY: no pointers.
    done(unsafe { import::proxy_increment_metric(metric, offset) })
}

/// Sets a gauge, or adds a value to a histogram.
pub(super) fn record_metric(metric: u32, value: u64) -> Result<(), HostStatus> {
    // SAFETY: no pointers.
    done(unsafe { import::proxy_record_metric(metric, value) })
}

/// Runs a root context's `on_tick` through the SDK, so that the root context sends the calls and gets their answers.
/// Do not call it from a callback of a root context, which the SDK has already borrowed.
pub(super) fn enter_root(root: u32) {
    // SAFETY: an ordinary function of this module. It panics on an unknown context, and is otherwise safe.
    unsafe { sdk::proxy_on_tick(root) }
}

// The SDK's macro exports `_initialize`, which runs the constructors of statics.
proxy_wasm::main! {{
    super::start();
}}

/// Becomes `proxy_on_request_headers`.
#[unsafe(no_mangle)]
extern "C" fn authgear_on_request_headers(context: u32, num_headers: usize, end_of_stream: bool) -> u32 {
    entry::enter();
    // SAFETY: an ordinary function of this module, called with the proxy's arguments for it.
    let action = unsafe { sdk::proxy_on_request_headers(context, num_headers, end_of_stream) };
    entry::leave_request_headers(action)
}

/// Becomes `proxy_on_http_call_response`.
#[unsafe(no_mangle)]
extern "C" fn authgear_on_http_call_response(
    context: u32,
    token: u32,
    num_headers: usize,
    body_size: usize,
    num_trailers: usize,
) {
    entry::enter();
    // SAFETY: an ordinary function of this module, called with the proxy's arguments for it.
    unsafe { sdk::proxy_on_http_call_response(context, token, num_headers, body_size, num_trailers) }
    entry::leave_call_response();
}
