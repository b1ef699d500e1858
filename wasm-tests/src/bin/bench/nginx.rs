//! nginx as the app, the authorizer, and a proxy to compare with. Each is one process with one worker.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use wasm_tests::process;
use wasm_tests::wait::try_wait_until;

use crate::accounting::Proxy;
use crate::request::{PATH, USER};

/// How long nginx may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The authorizer's answer to every credential: what Authgear's resolver says about a session.
pub(crate) const IDENTITY: [(&str, &str); 8] = [
    ("x-authgear-session-valid", "true"),
    ("x-authgear-user-id", USER),
    ("x-authgear-user-anonymous", "false"),
    ("x-authgear-user-verified", "true"),
    ("x-authgear-user-can-reauthenticate", "true"),
    ("x-authgear-user-roles", "admin,editor"),
    ("x-authgear-session-amr", "pwd otp"),
    ("x-authgear-session-authenticated-at", "1756301211"),
];

/// How the proxy authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Not at all: the reference.
    None,
    /// `auth_request` asks about every request.
    Request,
    /// `auth_request` with `proxy_cache`, which keeps an answer for 10 s.
    Cached,
}

/// A running nginx. Dropping it kills it.
pub(crate) struct Nginx {
    child: Child,
    address: SocketAddr,
}

impl Nginx {
    /// The app. It answers `ok`, or at `/seen` below its path the identity headers that it received.
    pub(crate) async fn app(directory: &Path, cpus: &str) -> Result<Self, String> {
        let seen: String =
            IDENTITY.iter().map(|(name, _)| format!("{name}: $http_{}\\n", name.replace('-', "_"))).collect();
        let server = format!(
            "location = {PATH} {{ return 200 \"ok\\n\"; }}\n location = {PATH}/seen {{ return 200 \"{seen}\"; }}"
        );
        Self::start(directory, "app", cpus, "", &server).await
    }

    /// The authorizer. It answers the same for everyone, and at `/asked` how often it was asked.
    pub(crate) async fn authorizer(directory: &Path, cpus: &str) -> Result<Self, String> {
        let headers: String =
            IDENTITY.iter().map(|(name, value)| format!("add_header {name} \"{value}\";\n")).collect();
        let server =
            format!("location / {{ {headers} return 200 \"\"; }}\n location = /asked {{ stub_status; }}");
        Self::start(directory, "authorizer", cpus, "", &server).await
    }

    /// A proxy in front of the app.
    pub(crate) async fn proxy(
        directory: &Path,
        cpus: &str,
        auth: Auth,
        app: SocketAddr,
        authorizer: SocketAddr,
    ) -> Result<Self, String> {
        let upstreams = format!(
            "upstream app {{ server {app}; keepalive 64; }}\n\
             upstream authorizer {{ server {authorizer}; keepalive 64; }}\n\
             proxy_http_version 1.1;\n"
        );
        let name = format!("proxy-{auth:?}").to_lowercase();
        let cache = match auth {
            Auth::Cached => {
                format!(
                    "proxy_cache_path {} keys_zone=auth:16m;\n",
                    place(directory, &name).join("cache").display()
                )
            }
            Auth::None | Auth::Request => String::new(),
        };
        let (mut asked, mut told) = (String::new(), String::new());
        if auth != Auth::None {
            asked.push_str("auth_request /auth;\n");
            for (name, _) in IDENTITY {
                let variable = name.replace('-', "_");
                asked.push_str(&format!("auth_request_set ${variable} $upstream_http_{variable};\n"));
                told.push_str(&format!("proxy_set_header {name} ${variable};\n"));
            }
        }
        let keep = match auth {
            Auth::Cached => {
                "proxy_cache auth; proxy_cache_key $http_authorization|$cookie_session; proxy_cache_valid 200 10s;"
            }
            Auth::None | Auth::Request => "",
        };
        let server = format!(
            "location / {{ {asked} {told} proxy_set_header Host $host; proxy_set_header Connection \"\";
               proxy_pass http://app; }}
             location = /auth {{ internal; {keep} proxy_pass_request_body off;
               proxy_set_header Content-Length \"\"; proxy_set_header Connection \"\";
               proxy_pass http://authorizer/resolve; }}"
        );
        Self::start(directory, &name, cpus, &(upstreams + &cache), &server).await
    }

    /// The address at which it takes requests, and its process.
    pub(crate) fn as_proxy(&self) -> Proxy {
        Proxy { address: self.address, process: self.child.id() }
    }

    async fn start(
        directory: &Path,
        name: &str,
        cpus: &str,
        http: &str,
        server: &str,
    ) -> Result<Self, String> {
        let place = place(directory, name);
        fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        let address = free_address()?;
        let file = place.join("nginx.conf");
        fs::write(&file, configuration(&place, address, http, server)).map_err(|error| error.to_string())?;
        let mut command = process::pinned(cpus, program());
        command.arg("-p").arg(&place).arg("-c").arg(&file).arg("-e").arg(place.join("error.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = process::spawn(command).map_err(|error| format!("cannot start nginx: {error}"))?;
        let mut nginx = Self { child, address };
        let waited = try_wait_until("nginx listens", START_TIMEOUT, || {
            let ended = nginx.child.try_wait();
            async move {
                match (ended, TcpStream::connect(address).await) {
                    (Err(error), _) => Ok(Err(error.to_string())),
                    (Ok(Some(status)), _) => Ok(Err(format!("it ended with {status}"))),
                    (Ok(None), Ok(_)) => Ok(Ok(())),
                    (Ok(None), Err(error)) => Err(error),
                }
            }
        });
        match waited.await.map_err(|late| late.to_string()).flatten() {
            Ok(()) => Ok(nginx),
            Err(problem) => {
                let log = fs::read_to_string(place.join("error.log")).unwrap_or_default();
                Err(format!("nginx does not start (on Debian: apt install nginx): {problem}: {log}"))
            }
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Debian installs it where only root's PATH looks.
pub(crate) fn program() -> &'static str {
    const DEBIAN: &str = "/usr/sbin/nginx";
    if Path::new(DEBIAN).exists() { DEBIAN } else { "nginx" }
}

fn place(directory: &Path, name: &str) -> PathBuf {
    directory.join(name)
}

fn configuration(place: &Path, address: SocketAddr, http: &str, server: &str) -> String {
    let place = place.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {place}/{name};\n"))
        .concat();
    // A single process leaves no workers behind when it is killed.
    format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log warn;
         events {{ worker_connections 4096; }}
         http {{
           access_log off; default_type text/plain; keepalive_requests 1000000000; keepalive_timeout 1h;
           client_header_buffer_size 4k; large_client_header_buffers 8 32k;
           {temporary} {http}
           server {{ listen {address}; {server} }}
         }}"
    )
}

/// nginx does not report the port that it got, so it is given one that was free a moment ago.
fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}
