//! The step after linking. The SDK exports every proxy-wasm callback, and a proxy enters the module for each one. The
//! filter also wraps two of them. So this program gives the wrappers the names of what they wrap, deletes the exports
//! that no proxy needs, and removes the code that this leaves unused.
//!
//! `finish <module.wasm> <finished.wasm>`

use std::env;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use walrus::{FunctionId, Module};

/// The exports that proxies need.
const KEPT: [&str; 13] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_context_create",
    "proxy_on_configure",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_http_call_response",
    "proxy_on_tick",
    // Without it, APISIX logs an error for each request.
    "proxy_on_done",
    "proxy_on_delete",
];

/// The filter's wrappers, and the SDK's exports whose names they take.
const WRAPPERS: [(&str, &str); 2] = [
    ("authgear_on_request_headers", "proxy_on_request_headers"),
    ("authgear_on_http_call_response", "proxy_on_http_call_response"),
];

/// The module is not the linker's output for this filter.
#[derive(Debug)]
enum Unfit {
    /// An export is missing.
    Missing(&'static str),
    /// A wrapper and the export that it wraps differ in type.
    Type(&'static str),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the module does not export {name}: is it finished already?"),
            Self::Type(name) => write!(f, "{name} has another type than what it wraps"),
        }
    }
}

impl Error for Unfit {}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        eprintln!("usage: finish <module.wasm> <finished.wasm>");
        return ExitCode::FAILURE;
    };
    match finish(Path::new(from), Path::new(to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("finish: {}: {error}", Path::new(from).display());
            ExitCode::FAILURE
        }
    }
}

fn finish(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut module = Module::from_file(from).map_err(|error| format!("{error:#}"))?;
    for (wrapper, name) in WRAPPERS {
        let (own, wrapped) = (function(&module, wrapper)?, function(&module, name)?);
        if module.funcs.get(own).ty() != module.funcs.get(wrapped).ty() {
            return Err(Unfit::Type(wrapper).into());
        }
        module.exports.remove(name).map_err(|error| format!("{error:#}"))?;
        module.exports.add(name, own);
    }
    let unwanted: Vec<_> = module
        .exports
        .iter()
        .filter(|export| !KEPT.contains(&export.name.as_str()))
        .map(|export| export.id())
        .collect();
    for id in unwanted {
        module.exports.delete(id);
    }
    for name in KEPT {
        if !module.exports.iter().any(|export| export.name == name) {
            return Err(Unfit::Missing(name).into());
        }
    }
    walrus::passes::gc::run(&mut module);
    module.emit_wasm_file(to).map_err(|error| format!("{error:#}"))?;
    Ok(())
}

fn function(module: &Module, name: &'static str) -> Result<FunctionId, Unfit> {
    module.exports.get_func(name).map_err(|_| Unfit::Missing(name))
}
