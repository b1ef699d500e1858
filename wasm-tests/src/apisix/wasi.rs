//! The part of WASI preview 1 that a filter may use. The real host has all of it; here, a module that imports
//! anything else fails to load, with the name in the error.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng as _;
use wasmtime::{Caller, Linker, Memory, Result, bail};

use super::vm::Host;

const MODULE: &str = "wasi_snapshot_preview1";

/// `errno` of preview 1.
const OK: i32 = 0;
const BAD_FILE: i32 = 8;
const FAULT: i32 = 21;

pub(super) fn define(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(MODULE, "clock_time_get", clock_time)?;
    linker.func_wrap(MODULE, "environ_get", |_: i32, _: i32| OK)?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |mut caller: Caller<'_, Host>, count: i32, size: i32| {
            let empty = 0u32.to_le_bytes();
            status(write(&mut caller, count, &empty).and_then(|()| write(&mut caller, size, &empty)))
        },
    )?;
    linker.func_wrap(MODULE, "fd_write", fd_write)?;
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<()> { bail!("proc_exit({code})") })?;
    linker.func_wrap(MODULE, "random_get", |mut caller: Caller<'_, Host>, at: i32, size: i32| {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        rand::rng().fill_bytes(&mut bytes);
        status(write(&mut caller, at, &bytes))
    })?;
    linker.func_wrap(MODULE, "sched_yield", || OK)?;
    Ok(())
}

fn clock_time(mut caller: Caller<'_, Host>, _clock: i32, _precision: i64, at: i32) -> i32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    status(write(&mut caller, at, &nanoseconds.to_le_bytes()))
}

/// Standard output and error go to error.log.
fn fd_write(mut caller: Caller<'_, Host>, file: i32, parts: i32, count: i32, written: i32) -> i32 {
    if !matches!(file, 1 | 2) {
        return BAD_FILE;
    }
    let mut text = Vec::new();
    for part in 0..count {
        let number = |at: i32| read(&caller, at, 4)?.try_into().ok().map(i32::from_le_bytes);
        let header = parts.wrapping_add(part.wrapping_mul(8));
        let bytes =
            number(header).zip(number(header.wrapping_add(4))).and_then(|(at, size)| read(&caller, at, size));
        let Some(bytes) = bytes else { return FAULT };
        text.extend_from_slice(bytes);
    }
    caller.data().record.log("stderr", &text);
    let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
    status(write(&mut caller, written, &size.to_le_bytes()))
}

fn status(done: Option<()>) -> i32 {
    done.map_or(FAULT, |()| OK)
}

fn memory(caller: &Caller<'_, Host>) -> Option<Memory> {
    caller.data().memory
}

/// Bytes of the module's memory.
pub(super) fn read<'a>(caller: &'a Caller<'_, Host>, at: i32, size: i32) -> Option<&'a [u8]> {
    let at = usize::try_from(at.cast_unsigned()).ok()?;
    let size = usize::try_from(size.cast_unsigned()).ok()?;
    memory(caller)?.data(caller).get(at..at.checked_add(size)?)
}

/// Writes into the module's memory.
pub(super) fn write(caller: &mut Caller<'_, Host>, at: i32, bytes: &[u8]) -> Option<()> {
    let at = usize::try_from(at.cast_unsigned()).ok()?;
    memory(caller)?.write(caller, at, bytes).ok()
}
