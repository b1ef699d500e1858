//! Runs a real Auth-O-Tron for a test: starts it on a free port, waits until it serves, and kills it on drop.
//!
//! Its users are part of its configuration ([`USERS`]), so it needs no other service. Its log and configuration are
//! in `target/auth-o-tron-logs` while it runs. A passing test deletes them. A failing one keeps them, and prints
//! where they are and how the log ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, io, thread};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::client::{self, Request, Response};
use crate::envoy::{target_dir, workspace_dir};
use crate::process::Ended;
use crate::wait::try_wait_until;

/// The tokens' `iss`.
pub const ISSUER: &str = "auth-o-tron.example.test";

/// The key that signs the tokens (HS256). It is public, like everything here.
pub const SECRET: &str = "a secret for tests and demonstrations only";

/// A realm. Each realm has its own provider.
pub const STAFF: &str = "staff";

/// Another realm.
pub const PARTNERS: &str = "partners";

/// All users. Alice has the same password in both realms, so only `X-Auth-Realm` tells the two apart.
pub const USERS: [User; 4] = [
    User { realm: STAFF, name: "alice", password: "wonder", roles: &["admin", "editor"] },
    User { realm: STAFF, name: "bob", password: "builder", roles: &[] },
    User { realm: PARTNERS, name: "alice", password: "wonder", roles: &["guest"] },
    User { realm: PARTNERS, name: "carol", password: "a:b,c d", roles: &["guest", "buyer"] },
];

/// A local server answers at once, but it may have to wait for a core.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How often to try another port when a free one has been taken meanwhile.
const ATTEMPTS: u32 = 5;
/// How much of the log a failing test prints.
const REPORTED_LINES: usize = 40;

/// Someone who can log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The realm that knows the user.
    pub realm: &'static str,
    /// The name, unique within its realm.
    pub name: &'static str,
    /// The password, in the clear.
    pub password: &'static str,
    /// The roles, in the order in which they are configured.
    pub roles: &'static [&'static str],
}

impl User {
    /// The value of the user's `Authorization` header.
    pub fn authorization(&self) -> String {
        basic(self.name, self.password)
    }
}

/// The user of this realm and name.
///
/// # Panics
/// If there is none.
pub fn user(realm: &str, name: &str) -> User {
    let found = USERS.into_iter().find(|user| user.realm == realm && user.name == name);
    found.unwrap_or_else(|| panic!("no user {name} in {realm}"))
}

/// An `Authorization` header of the scheme Basic (RFC 7617).
pub fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

/// The configuration of a server with [`USERS`] at `address`. It is JSON, which is also YAML.
pub fn configuration(address: SocketAddr) -> Value {
    let provider = |realm: &str| {
        let users = USERS
            .iter()
            .filter(|user| user.realm == realm)
            .map(|user| json!({ "username": user.name, "password": user.password, "roles": user.roles }));
        json!({
            "type": "plain", "name": format!("{realm}-users"), "realm": realm,
            "users": users.collect::<Vec<_>>(),
        })
    };
    json!({
        "version": "2.0.0",
        "server": { "host": address.ip(), "port": address.port() },
        "metrics": { "enabled": false },
        "providers": [provider(STAFF), provider(PARTNERS)],
        "store": { "enabled": false },
        "services": [],
        "jwt": { "iss": ISSUER, "exp": 3600, "secret": SECRET },
        "include_legacy_headers": true,
        // One line per event; `console` takes three.
        "logging": { "level": "info", "format": "json" },
        "auth": { "timeout_in_ms": 3000 },
    })
}

/// A command that serves with the configuration in this file, whatever is in the environment.
///
/// # Panics
/// If Auth-O-Tron is not installed.
pub fn command(configuration: &Path) -> Command {
    let program = workspace_dir().join(".tools/bin/authotron");
    assert!(program.is_file(), "{} is missing: run `make setup`", program.display());
    let mut command = crate::process::command(program);
    // A variable with this prefix would change a field of the configuration.
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"AOT_")) {
        command.env_remove(name);
    }
    command.env("AOT_CONFIG_PATH", configuration);
    command
}

/// A running Auth-O-Tron.
pub struct AuthOTron {
    process: Process,
    address: SocketAddr,
}

impl AuthOTron {
    /// Starts it with [`USERS`], and waits until it takes requests.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// Starts it with the configuration that `change` has altered.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start_with(change: impl Fn(&mut Value)) -> Self {
        for _ in 0..ATTEMPTS {
            let address = free_address().expect("a port for Auth-O-Tron");
            let mut configuration = configuration(address);
            change(&mut configuration);
            let mut process = Process::start(&configuration);
            match process.wait_until_ready().await {
                Ok(()) => return Self { process, address },
                // It cannot choose a port itself, and something else was quicker.
                Err(Ended::Exited(_)) if process.files.log().contains("could not bind") => {}
                Err(end) => panic!("Auth-O-Tron did not start: {end}"),
            }
        }
        panic!("Auth-O-Tron did not start: {ATTEMPTS} times the port was taken in the meantime")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>`, without a path.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it answers to `GET /authenticate` with these headers, without a proxy in between.
    pub async fn authenticate(&self, headers: &[(&str, &str)]) -> Response {
        let request = Request::get("/authenticate");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        client::send(self.address, request).await
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        self.process.files.log()
    }
}

/// A port that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Auth-O-Tron from its start on, whether it serves or not.
struct Process {
    child: Child,
    files: Files,
}

impl Process {
    fn start(configuration: &Value) -> Self {
        let files = Files::create(configuration);
        let mut command = command(&files.configuration);
        command.stdin(Stdio::null()).stdout(files.log_writer()).stderr(files.log_writer());
        let child = crate::process::spawn(command).expect("Auth-O-Tron can be executed");
        Self { child, files }
    }

    /// Trusts its log: something else may answer on that port.
    async fn wait_until_ready(&mut self) -> Result<(), Ended> {
        let waited = try_wait_until("Auth-O-Tron listens", START_TIMEOUT, || {
            let log = self.files.log();
            let ended = self.child.try_wait().expect("Auth-O-Tron is our child");
            std::future::ready(match ended {
                _ if log.contains("application server listening") => Ok(Ok(())),
                Some(status) => Ok(Err(Ended::Exited(status))),
                None => Err(log),
            })
        });
        waited.await.map_err(Ended::TooLate)?
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if thread::panicking() {
            self.files.report();
        } else {
            self.files.remove();
        }
    }
}

/// The files of one server. They carry the test's name.
struct Files {
    configuration: PathBuf,
    log: PathBuf,
}

impl Files {
    fn create(configuration: &Value) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let test = thread::current().name().unwrap_or("main").replace("::", "-");
        let name = format!("{test}-{}-{count}", process::id());

        let directory = target_dir().join("auth-o-tron-logs");
        fs::create_dir_all(&directory).expect("the target directory is writable");
        let file = |extension: &str| directory.join(format!("{name}.{extension}"));
        let files = Self { configuration: file("yaml"), log: file("log") };
        fs::write(&files.configuration, format!("{configuration:#}"))
            .expect("the target directory is writable");
        File::create(&files.log).expect("the target directory is writable");
        files
    }

    fn log_writer(&self) -> File {
        File::options().append(true).open(&self.log).expect("the log was created with the other file")
    }

    fn log(&self) -> String {
        let log = fs::read(&self.log).expect("the log was created with the other file");
        String::from_utf8_lossy(&log).into_owned()
    }

    fn report(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let end = &lines[lines.len().saturating_sub(REPORTED_LINES)..];
        eprintln!(
            "Auth-O-Tron's log: {}\nits configuration: {}\nthe log's last {} lines:\n{}",
            self.log.display(),
            self.configuration.display(),
            end.len(),
            end.join("\n")
        );
    }

    fn remove(&self) {
        for file in [&self.configuration, &self.log] {
            // A leftover file does no harm.
            let _absent = fs::remove_file(file);
        }
    }
}
