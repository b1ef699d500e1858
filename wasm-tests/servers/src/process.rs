//! Child processes that end with the process that started them, however it ends.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::sync::{LazyLock, Mutex};
use std::thread;

use crate::wait::TooLate;

/// Why a program does not serve that was started.
pub(crate) enum Ended {
    Exited(ExitStatus),
    TooLate(TooLate),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "it ended with {status}"),
            Self::TooLate(late) => late.fmt(f),
        }
    }
}

/// A command for `program` that the kernel kills when the *thread* that spawned it ends.
///
/// `setpriv` (util-linux) starts it, because asking the kernel between fork and exec would take `unsafe`. Without
/// `setpriv` the command is the program itself, which then ends only if its owner ends in an orderly way.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    const SETPRIV: &str = "/usr/bin/setpriv";
    if !Path::new(SETPRIV).exists() {
        return Command::new(program);
    }
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// The same, for a program that may use only these CPUs (`0`, `0,1`, `2-3`).
///
/// It needs `taskset`, which comes with `setpriv`.
pub fn pinned(cpus: &str, program: impl AsRef<OsStr>) -> Command {
    let mut pinned = command("taskset");
    pinned.args(["--cpu-list", cpus]).arg(program);
    pinned
}

/// Spawns from a thread that lives as long as this process. So a child that two tests share does not end with the
/// test that started it.
pub fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: LazyLock<Mutex<mpsc::Sender<Order>>> = LazyLock::new(|| {
        let (orders, incoming) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in incoming {
                // The caller waits for the answer, so it is there to receive it.
                let _answered = reply.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });

    let gone = |_| io::Error::other("the thread that starts processes has ended");
    let (reply, child) = mpsc::channel();
    let orders = SPAWNER.lock().map_err(|_| gone(mpsc::RecvError))?.clone();
    orders.send((command, reply)).map_err(|_| gone(mpsc::RecvError))?;
    child.recv().map_err(gone)?
}
