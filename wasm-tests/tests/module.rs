//! The built module: every host must be able to load it.
//!
//! APISIX (wasm-nginx-module 0.7 on wasmtime 0.38) is the most restrictive. An import that it does not define, or
//! defines with another type, makes it say `unknown plugin` and drop the route.

use std::collections::BTreeMap;
use std::fs;

use wasm_tests::envoy;
use wasmparser::{
    CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType, Validator, WasmFeatures,
};

use ValType::{I32, I64};

/// A function of the host or of the module: name, parameters, results.
type Signature = (&'static str, &'static [ValType], &'static [ValType]);

/// What wasm-nginx-module 0.7 defines in `env`, from its `src/http/ngx_http_wasm_api_def.h`; all
/// return an `i32`. Two are missing here on purpose: `proxy_get_metric`, which it declares with an
/// `i64` where the ABI has a pointer, and `proxy_get_log_level`, which it does not know; the SDK
/// declares both.
const APISIX: &[Signature] = &[
    ("proxy_set_effective_context", &[I32; 1], &[I32]),
    ("proxy_get_property", &[I32; 4], &[I32]),
    ("proxy_set_property", &[I32; 4], &[I32]),
    ("proxy_log", &[I32; 3], &[I32]),
    ("proxy_get_buffer_bytes", &[I32; 5], &[I32]),
    ("proxy_set_buffer_bytes", &[I32; 5], &[I32]),
    ("proxy_send_local_response", &[I32; 8], &[I32]),
    ("proxy_send_http_response", &[I32; 8], &[I32]),
    ("proxy_get_current_time_nanoseconds", &[I32; 1], &[I32]),
    ("proxy_set_tick_period_milliseconds", &[I32; 1], &[I32]),
    ("proxy_get_configuration", &[I32; 2], &[I32]),
    ("proxy_get_header_map_pairs", &[I32; 3], &[I32]),
    ("proxy_set_header_map_pairs", &[I32; 3], &[I32]),
    ("proxy_get_header_map_value", &[I32; 5], &[I32]),
    ("proxy_remove_header_map_value", &[I32; 3], &[I32]),
    ("proxy_replace_header_map_value", &[I32; 5], &[I32]),
    ("proxy_add_header_map_value", &[I32; 5], &[I32]),
    ("proxy_get_shared_data", &[I32; 5], &[I32]),
    ("proxy_set_shared_data", &[I32; 5], &[I32]),
    ("proxy_register_shared_queue", &[I32; 3], &[I32]),
    ("proxy_resolve_shared_queue", &[I32; 5], &[I32]),
    ("proxy_dequeue_shared_queue", &[I32; 3], &[I32]),
    ("proxy_enqueue_shared_queue", &[I32; 3], &[I32]),
    ("proxy_continue_request", &[], &[I32]),
    ("proxy_continue_response", &[], &[I32]),
    ("proxy_clear_route_cache", &[], &[I32]),
    ("proxy_continue_stream", &[I32; 1], &[I32]),
    ("proxy_close_stream", &[I32; 1], &[I32]),
    ("proxy_http_call", &[I32; 10], &[I32]),
    ("proxy_grpc_call", &[I32; 12], &[I32]),
    ("proxy_grpc_stream", &[I32; 9], &[I32]),
    ("proxy_grpc_send", &[I32; 4], &[I32]),
    ("proxy_grpc_cancel", &[I32; 1], &[I32]),
    ("proxy_grpc_close", &[I32; 1], &[I32]),
    ("proxy_get_status", &[I32; 3], &[I32]),
    ("proxy_done", &[], &[I32]),
    ("proxy_call_foreign_function", &[I32; 6], &[I32]),
    ("proxy_define_metric", &[I32; 4], &[I32]),
    ("proxy_increment_metric", &[I32, I64], &[I32]),
    ("proxy_record_metric", &[I32, I64], &[I32]),
];

/// The functions of WASI preview 1 that the filter may use. wasmtime defines all of WASI and Envoy little; these are
/// in both, and a filter needs no others.
const WASI: &[Signature] = &[
    ("clock_time_get", &[I32, I64, I32], &[I32]),
    ("environ_get", &[I32; 2], &[I32]),
    ("environ_sizes_get", &[I32; 2], &[I32]),
    ("fd_write", &[I32; 4], &[I32]),
    ("proc_exit", &[I32], &[]),
    ("random_get", &[I32; 2], &[I32]),
    ("sched_yield", &[], &[I32]),
];

/// The exports that hosts call, as in ABI 0.2.1.
const EXPORTS: &[Signature] = &[
    ("_initialize", &[], &[]),
    ("proxy_abi_version_0_2_1", &[], &[]),
    ("proxy_on_memory_allocate", &[I32], &[I32]),
    ("proxy_on_context_create", &[I32; 2], &[]),
    ("proxy_on_configure", &[I32; 2], &[I32]),
    ("proxy_on_request_headers", &[I32; 3], &[I32]),
    ("proxy_on_request_trailers", &[I32; 2], &[I32]),
    ("proxy_on_response_headers", &[I32; 3], &[I32]),
    ("proxy_on_http_call_response", &[I32; 5], &[]),
    ("proxy_on_tick", &[I32], &[]),
    ("proxy_on_done", &[I32], &[I32]),
    ("proxy_on_delete", &[I32], &[]),
];

#[test]
fn every_import_is_one_that_apisix_defines() {
    let module = Module::load();
    let mut refused = Vec::new();
    for (namespace, name, signature) in &module.imports {
        let defined = match namespace.as_str() {
            "env" => APISIX,
            "wasi_snapshot_preview1" => WASI,
            _ => &[],
        };
        match defined.iter().find(|(known, ..)| known == name) {
            None => refused.push(format!("{namespace}.{name}{signature} has no place here")),
            Some(known) if Shape::of(known) != *signature => {
                let known = Shape::of(known);
                refused.push(format!("{namespace}.{name}{signature} is defined as {known}"));
            }
            Some(_) => {}
        }
    }
    assert!(!module.imports.is_empty(), "a filter that asks its host nothing");
    assert!(refused.is_empty(), "imports that not every host gives:\n{}", refused.join("\n"));
}

#[test]
fn what_hosts_call_is_exported_and_nothing_else() {
    let module = Module::load();
    assert!(module.exports_memory, "no memory is exported");
    let expected: BTreeMap<_, _> =
        EXPORTS.iter().map(|export| (export.0.to_owned(), Shape::of(export))).collect();
    assert_eq!(module.exports, expected, "`make build` finishes the module");
}

/// Envoy compiles the whole module before it serves, at about half a millisecond per kilobyte.
#[test]
fn it_is_no_larger_than_1050_kb() {
    let bytes = Module::bytes().len();
    assert!(bytes <= 1_050_000, "{bytes} bytes; `make build` makes it smaller than Cargo alone");
}

#[test]
fn it_is_valid_for_the_runtime_of_apisix() {
    // WebAssembly 2.0 without SIMD, which was seen to load in wasmtime 0.38. No tail calls, threads, exceptions,
    // garbage collection, 64-bit memory or multiple memories.
    let features = WasmFeatures::WASM2.difference(WasmFeatures::SIMD);
    let invalid = Validator::new_with_features(features).validate_all(&Module::bytes()).err();
    assert_eq!(invalid.map(|error| error.to_string()), None);
}

/// A type as its parameters and results.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape(Vec<ValType>, Vec<ValType>);

impl Shape {
    fn of((_, parameters, results): &Signature) -> Self {
        Self(parameters.to_vec(), results.to_vec())
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} -> {:?}", self.0, self.1)
    }
}

/// A module's imports and exports.
#[derive(Default)]
struct Module {
    imports: Vec<(String, String, Shape)>,
    exports: BTreeMap<String, Shape>,
    exports_memory: bool,
}

impl Module {
    fn bytes() -> Vec<u8> {
        let path = envoy::filter_module();
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn load() -> Self {
        let bytes = Self::bytes();
        let mut module = Self::default();
        let mut types: Vec<FuncType> = Vec::new();
        // The type of each function, with imported ones first.
        let mut functions: Vec<u32> = Vec::new();
        let shape = |types: &[FuncType], index: u32| {
            let function = &types[index as usize];
            Shape(function.params().to_vec(), function.results().to_vec())
        };
        for payload in Parser::new(0).parse_all(&bytes) {
            match payload.expect("a module that can be read") {
                Payload::TypeSection(section) => {
                    for group in section {
                        for subtype in group.expect("types").into_types() {
                            if let CompositeInnerType::Func(function) = subtype.composite_type.inner {
                                types.push(function);
                            }
                        }
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.expect("imports");
                        let TypeRef::Func(index) = import.ty else {
                            panic!("{}.{} is no function", import.module, import.name);
                        };
                        functions.push(index);
                        module.imports.push((
                            import.module.to_owned(),
                            import.name.to_owned(),
                            shape(&types, index),
                        ));
                    }
                }
                Payload::FunctionSection(section) => {
                    functions.extend(section.into_iter().map(|index| index.expect("functions")));
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.expect("exports");
                        match export.kind {
                            ExternalKind::Func => {
                                let function = functions[export.index as usize];
                                module.exports.insert(export.name.to_owned(), shape(&types, function));
                            }
                            ExternalKind::Memory => module.exports_memory |= export.name == "memory",
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        module
    }
}
