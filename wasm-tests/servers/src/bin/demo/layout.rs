//! What each demo consists of: its services, its Envoy configuration, and what to try with it.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use servers::{auth_o_tron, envoy, process};

use crate::ports::{Demo, Port, Ports};

/// A demo. Envoy stands before all of its services.
pub(crate) struct Layout {
    /// Its `make` target.
    pub(crate) target: &'static str,
    /// Envoy's configuration, below the root of the workspace.
    pub(crate) envoy: &'static str,
    /// Its clusters, and the services behind them.
    pub(crate) clusters: &'static [(&'static str, Port)],
    /// URLs in the filter's configuration (as RFC 6901 pointers), and the services whose ports they contain.
    pub(crate) urls: &'static [(&'static str, Port)],
    /// Whether the app's page is the console, which asks this program.
    pub(crate) has_console: bool,
    /// All services except Envoy, by the names in their log lines.
    pub(crate) services: fn(&Ports) -> Result<Vec<(&'static str, Command)>, String>,
    /// What to try once everything is up.
    pub(crate) welcome: fn(&Ports) -> String,
}

impl Layout {
    /// The one of this demo.
    pub(crate) fn of(demo: &Demo) -> &'static Self {
        match demo {
            Demo::Authgear(_) => &AUTHGEAR,
            Demo::AuthOTron(_) => &AUTH_O_TRON,
        }
    }
}

/// Authgear's tutorial on one machine, with a stand-in for Authgear.
static AUTHGEAR: Layout = Layout {
    target: "run",
    envoy: "envoy.yaml",
    clusters: &[("authgear", Port::Authgear), ("authgear-resolver", Port::Resolver), ("app", Port::App)],
    urls: &[("/authgear/endpoint", Port::Proxy), ("/authgear/resolver_url", Port::Resolver)],
    has_console: true,
    services: |ports| {
        let mut app = echo_app(ports)?;
        app.arg("--console");
        Ok(vec![("authgear", stand_in(ports)?), ("app", app)])
    },
    welcome: |ports| {
        let origin = public_origin(ports);
        format!(
            "Open {origin}/ in a browser and log in as one of the demo users.
{origin}/app then shows what the app received and how the filter
decided, and has buttons to try it: forged headers, tokens, logout, an outage.

  without a session; a forged identity header does not arrive:
    curl -H 'x-authgear-user-id: forged' {origin}/app
  as alice, with an access token:
    curl -H \"Authorization: Bearer $(curl -s -d 'user=alice&kind=jwt' {origin}/stand-in/token)\" {origin}/app"
        )
    },
};

/// The real Auth-O-Tron with two realms, each with its own users.
static AUTH_O_TRON: Layout = Layout {
    target: "run-auth-o-tron",
    envoy: "deploy/envoy/auth-o-tron.yaml",
    clusters: &[("auth-o-tron", Port::AuthOTron), ("app", Port::App)],
    urls: &[("/forward_auth/url", Port::AuthOTron)],
    has_console: false,
    services: |ports| Ok(vec![("auth-o-tron", auth_o_tron(ports)?), ("app", echo_app(ports)?)]),
    welcome: |ports| {
        let origin = public_origin(ports);
        let [alice, bob] = ["alice", "bob"].map(|name| {
            let user = auth_o_tron::user(auth_o_tron::STAFF, name);
            format!("{}:{}", user.name, user.password)
        });
        let realm = auth_o_tron::PARTNERS;
        format!(
            "Open {origin}/ in a browser and log in as {alice} to see the headers
that the app receives.

  without credentials; the challenge is Auth-O-Tron's:
    curl -i {origin}/
  as alice; the app gets a signed token instead of the password:
    curl -u {alice} {origin}/
  as the other alice, of the realm {realm}:
    curl -u {alice} -H 'X-Auth-Realm: {realm}' {origin}/
  as bob, who has no roles; forged ones do not arrive:
    curl -u {bob} -H 'X-Auth-Roles: forged' {origin}/"
        )
    },
};

fn stand_in(ports: &Ports) -> Result<Command, String> {
    let mut command = sibling("stand-in-authgear")?;
    command
        .args(["--main-port", &ports[Port::Authgear].to_string()])
        .args(["--resolver-port", &ports[Port::Resolver].to_string()])
        .args(["--public-origin", &public_origin(ports)]);
    Ok(command)
}

/// Its configuration is written for these ports.
fn auth_o_tron(ports: &Ports) -> Result<Command, String> {
    let port = ports[Port::AuthOTron];
    let configuration = auth_o_tron::configuration(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let directory = envoy::target_dir().join("demo");
    let file = directory.join(format!("auth-o-tron-{port}.yaml"));
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&file, format!("{configuration:#}")))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(auth_o_tron::command(&file))
}

fn echo_app(ports: &Ports) -> Result<Command, String> {
    let mut command = sibling("echo-app")?;
    command.args(["--port", &ports[Port::App].to_string()]);
    Ok(command)
}

/// A program that Cargo has built next to this one.
fn sibling(name: &str) -> Result<Command, String> {
    let this = env::current_exe().map_err(|error| format!("cannot find {name}: {error}"))?;
    let program = this.with_file_name(name);
    if !program.is_file() {
        let missing = program.display();
        return Err(format!("{missing} is missing: run `cargo build -p servers --bins`"));
    }
    Ok(process::command(program))
}

pub(crate) fn public_origin(ports: &Ports) -> String {
    format!("http://localhost:{}", ports[Port::Proxy])
}
