//! The demos of `make run` and `make run-auth-o-tron`, used as a person would: log in, look at the app, stop.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use servers::client::{self, Request, Response};
use servers::demo::{AUTH_O_TRON, AUTHGEAR, Demo, Layout, Ports};
use servers::process;
use servers::wait::{holds, wait_until};

const DEMO: &str = env!("CARGO_BIN_EXE_demo");

/// How long the demo may take to end.
const STOP: Duration = Duration::from_secs(10);

#[tokio::test]
async fn who_logs_in_is_known_to_the_app_until_logging_out() {
    let demo = start(&AUTHGEAR);
    let mut browser = Browser::new(demo.port("--proxy-port"));

    let nobody = browser.app_headers().await;
    assert_eq!(nobody, BTreeMap::new());

    let login = browser.get("/").await;
    let account = browser.press(&login, "alice").await;
    let alice = browser.app_headers().await;
    assert_eq!(alice.get("x-authgear-session-valid").map(String::as_str), Some("true"));
    assert_eq!(alice.get("x-authgear-user-id").map(String::as_str), Some("alice"));
    assert_eq!(alice.get("x-authgear-user-roles").map(String::as_str), Some("admin,editor"));
    // What a person sees.
    assert!(browser.get("/app").await.contains("x-authgear-user-id"));

    let login = browser.press(&account, "/logout").await;
    assert_eq!(browser.app_headers().await.get("x-authgear-user-id"), None);
    browser.press(&login, "bob").await;
    let bob = browser.app_headers().await;
    assert_eq!(bob.get("x-authgear-user-id").map(String::as_str), Some("bob"));
}

#[tokio::test]
async fn who_opens_a_page_that_needs_a_session_logs_in_and_comes_back_to_it() {
    let demo = start(&AUTHGEAR);
    let mut browser = Browser::new(demo.port("--proxy-port"));
    let login = browser.get("/app/account?x=1").await;
    let page = browser.press(&login, "alice").await;
    assert!(page.contains("GET /app/account?x=1") && page.contains("alice"), "{page}");
    assert!(browser.get("/app/account").await.contains("alice"), "and sees no login page again");
}

#[tokio::test]
async fn only_a_page_of_the_demo_reads_and_changes_what_the_console_shows() {
    let demo = start(&AUTHGEAR);
    let port = demo.port("--proxy-port");
    let (here, elsewhere) = (format!("localhost:{port}"), format!("evil.test:{port}"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let state = |host: &str| client::send(address, Request::get("/demo/state").host(host));
    assert_eq!(state(&here).await.json()["authgear"]["resolver"], "up");
    // A name that leads here, but is not ours (DNS rebinding).
    assert_eq!(state(&elsewhere).await.status, 421);
    let own = format!("http://{here}");
    for (host, origin, status) in [
        (&here, None, 403),
        (&here, Some("null"), 403),
        (&here, Some("http://evil.test"), 403),
        (&here, Some("https://localhost"), 403),
        (&elsewhere, Some(&*format!("http://{elsewhere}")), 421),
        (&here, Some(&*own), 200),
    ] {
        let mut request = Request::post("/demo/resolver", "state=down").host(host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = client::send(address, request).await;
        assert_eq!(answer.status, status, "{host}, {origin:?}: {answer:?}");
        let expected = if status == 200 { "down" } else { "up" };
        assert_eq!(state(&here).await.json()["authgear"]["resolver"], expected, "{host}, {origin:?}");
    }
}

#[test]
fn the_curl_lines_that_it_prints_work() {
    let answers = try_curl_lines(&start(&AUTHGEAR));
    let [forged, alice, counters] = &answers[..] else { panic!("{} curl lines", answers.len()) };
    assert!(forged.contains("/app") && !forged.contains("forged"), "{forged}");
    assert!(alice.contains(r#""alice""#), "{alice}");
    assert!(counters.contains("wasmcustom."), "{counters:?}");
}

#[test]
fn the_curl_lines_of_auth_o_tron_work() {
    let answers = try_curl_lines(&start(&AUTH_O_TRON));
    let [nobody, alice, other_alice, bob, counters] = &answers[..] else {
        panic!("{} curl lines", answers.len())
    };
    assert!(nobody.starts_with("HTTP/1.1 401 ") && nobody.contains("Basic realm="), "{nobody}");
    for (answer, roles) in [(alice, r#""admin,editor""#), (other_alice, r#""guest""#), (bob, r#""""#)] {
        assert!(answer.contains(r#"["authorization","Bearer "#), "{answer}");
        assert!(answer.contains(&format!(r#"["x-auth-roles",{roles}]"#)), "{answer}");
    }
    assert!(counters.contains("wasmcustom."), "{counters:?}");
}

#[tokio::test]
async fn ctrl_c_stops_everything() {
    let mut demo = start(&AUTHGEAR);
    let services = services(&demo);
    assert_eq!(services.len(), 3, "{services:?}");
    send_signal("INT", demo.id());
    let status = demo.wait(STOP).await;
    assert!(status.success(), "{status}");
    are_gone(&services).await;
    wait_until("the ports are free", STOP, || async { holds(demo.ports_are_free(), "one is taken") }).await;
}

#[tokio::test]
async fn when_one_service_ends_all_end_and_it_is_named() {
    let mut demo = start(&AUTHGEAR);
    let services = services(&demo);
    let app = services.iter().find(|pid| command_line(**pid).contains("echo-app"));
    send_signal("KILL", *app.expect("the app runs"));
    assert!(!demo.wait(STOP).await.success());
    are_gone(&services).await;
    let output = demo.output();
    assert!(output.contains("app ended (signal: 9"), "{output}");
    // Its last lines.
    assert!(output.contains("\n  echo app on "), "{output}");
}

#[tokio::test]
async fn no_service_outlives_a_demo_that_is_killed() {
    let demo = start(&AUTHGEAR);
    let services = services(&demo);
    send_signal("KILL", demo.id());
    are_gone(&services).await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_way_to_choose_another() {
    for (layout, target) in [(&AUTHGEAR, "run"), (&AUTH_O_TRON, "run-auth-o-tron")] {
        let ports = Ports::choose(layout);
        let port = ports.of("--app-port");
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it was free");
        let mut demo = Demo::spawn(DEMO, layout, ports);
        assert!(!demo.wait(STOP).await.success());
        let output = demo.output();
        assert!(output.contains(&format!("port {port}, for the app, is taken")), "{output}");
        assert!(output.contains(&format!("make {target} APP_PORT=")), "{output}");
        assert!(!output.contains("All is up"), "{output}");
    }
}

#[tokio::test]
async fn a_flag_wins_over_the_environment_and_both_over_the_default() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    for (arguments, environment, part) in [
        (&[][..], &[("APP_PORT", &*port)][..], format!("port {port}, for the app, is taken")),
        (&["--app-port", &port], &[("APP_PORT", "1")], format!("port {port}, for the app, is taken")),
        // make exports a variable that nobody chose as empty.
        (&["--app-port", "8080"], &[("PROXY_PORT", "")], "PROXY_PORT and APP_PORT are both 8080".to_owned()),
        (&[], &[("APP_PORT", "70000")], "--app-port".to_owned()),
    ] {
        let mut command = process::command(DEMO);
        command.arg("authgear").args(arguments).envs(environment.iter().copied());
        let output = command.stdin(Stdio::null()).output().expect("the demo can be executed");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(&part), "{arguments:?} {environment:?}: {text}");
    }
}

fn start(layout: &'static Layout) -> Demo {
    Demo::start(DEMO, layout)
}

/// Runs the commands that it suggests, and returns their output.
fn try_curl_lines(demo: &Demo) -> Vec<String> {
    let welcome = demo.output();
    let lines = welcome.lines().filter(|line| line.trim().starts_with("curl "));
    let answers = lines.map(|line| {
        // bash reads the line as a person's shell would.
        let run = Command::new("bash").args(["-euc", line]).output().expect("bash");
        assert!(run.status.success(), "{line}: {run:?}");
        String::from_utf8(run.stdout).expect("text")
    });
    answers.collect()
}

/// The process ids of what it started.
fn services(demo: &Demo) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("Linux");
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(demo.id())).collect()
}

/// As much of a browser as the demo needs: cookies, redirects, and forms with buttons.
struct Browser {
    address: SocketAddr,
    host: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(port: u16) -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            host: format!("localhost:{port}"),
            cookies: BTreeMap::new(),
        }
    }

    /// Opens the page at this path, and follows redirects.
    async fn get(&mut self, path: &str) -> String {
        let response = self.send(Request::get(path).header("accept", "text/html")).await;
        self.follow(response).await
    }

    /// Presses the button with this value, or the one of the form with this action.
    async fn press(&mut self, page: &str, button: &str) -> String {
        let quoted = format!("\"{button}\"");
        let mut forms = page.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next());
        let form = forms.find(|form| form.contains(&quoted));
        let form = form.unwrap_or_else(|| panic!("no button {button} on {page}"));
        let action = attribute(form, "action").expect("a form has an action");

        let mut fields = form_urlencoded::Serializer::new(String::new());
        let pressed = |tag: &&str| attribute(tag, "value") == Some(button);
        let inputs = form.split("<input").skip(1);
        for tag in inputs.chain(form.split("<button").skip(1).filter(pressed)) {
            if let Some(name) = attribute(tag, "name") {
                let value = attribute(tag, "value").unwrap_or_default();
                // The one character of these pages' values that markup escapes.
                fields.append_pair(name, &value.replace("&amp;", "&"));
            }
        }
        let request = Request::post(action, fields.finish())
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded");
        let response = self.send(request).await;
        self.follow(response).await
    }

    /// The identity headers that the app receives with a request of this browser.
    async fn app_headers(&mut self) -> BTreeMap<String, String> {
        let request = Request::get("/app").header("x-authgear-user-id", "forged");
        let seen = self.send(request).await.json();
        let headers = seen["headers"].as_array().expect("the app's list of headers");
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let pairs = headers.iter().map(|pair| (text(&pair[0]), text(&pair[1])));
        pairs.filter(|(name, _)| name.starts_with("x-authgear-")).collect()
    }

    async fn follow(&mut self, mut response: Response) -> String {
        for _ in 0..5 {
            let Some(location) = response.header("location") else {
                assert_eq!(response.status, 200, "{response:?}");
                return response.text().to_owned();
            };
            let origin = format!("http://{}", self.host);
            let path = location.strip_prefix(&origin).unwrap_or(location).to_owned();
            response = self.send(Request::get(&path).header("accept", "text/html")).await;
        }
        panic!("redirected in a circle: {response:?}");
    }

    async fn send(&mut self, request: Request) -> Response {
        let mut request = request.host(&self.host);
        if !self.cookies.is_empty() {
            let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
            request = request.header("cookie", pairs.collect::<Vec<_>>().join("; "));
        }
        let response = client::send(self.address, request).await;
        for cookie in response.header_lines("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie is name=value");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let tag = tag.split('>').next()?;
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

async fn are_gone(services: &[u32]) {
    wait_until("the services are gone", STOP, || async {
        let left: Vec<_> = services.iter().filter(|pid| exists(**pid)).collect();
        holds(left.is_empty(), format!("{left:?}"))
    })
    .await;
}

fn send_signal(name: &str, pid: u32) {
    let kill = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
    assert!(kill.expect("sh").success());
}

/// Whether the process runs. A zombie does not.
fn exists(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields.first().map(String::as_str) != Some("Z"))
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// The fields of `/proc/<pid>/stat` after the name: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}
