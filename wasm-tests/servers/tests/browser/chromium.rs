//! A headless Chromium, driven over the DevTools protocol through a pipe: no port, and it ends when the pipe does.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use servers::process;
use servers::wait::wait_until;

/// How long one command may take, and how long a page may take to show what is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

/// The browser that all tests share. It ends with this process, because its pipe does.
pub(crate) fn chromium() -> &'static Chromium {
    static CHROMIUM: OnceLock<Chromium> = OnceLock::new();
    CHROMIUM.get_or_init(Chromium::start)
}

pub(crate) struct Chromium {
    commands: Mutex<(u64, ChildStdin)>,
    mail: Arc<Mutex<Mail>>,
    _process: Child,
}

/// What comes from the browser, and who waits for it.
#[derive(Default)]
struct Mail {
    answers: HashMap<u64, mpsc::Sender<Value>>,
    events: HashMap<String, Vec<Value>>,
}

impl Chromium {
    fn start() -> Self {
        // The protocol's descriptors are 3 and 4.
        const SCRIPT: &str = r#"exec "$@" 3<&0 4>&1 >&2"#;
        let mut command = process::command("sh");
        command.args(["-c", SCRIPT, "sh", "chromium", "--headless", "--remote-debugging-pipe"]);
        command.arg(format!("--user-data-dir={}", profile().display()));
        command.args(["--no-first-run", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb"]);
        // Pictures look alike on all machines, and are small.
        command.args(["--disable-lcd-text", "--font-render-hinting=none"]);
        // What it does without being asked.
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--no-pings", "--disable-default-apps", "--disable-extensions", "--disable-translate"]);
        // Nothing but this machine has an address.
        command.arg("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost");
        // In containers root has no sandbox, and /dev/shm is small.
        command.args(["--no-sandbox", "--disable-dev-shm-usage", "about:blank"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = process::spawn(command).expect("Chromium can be executed");
        let commands = child.stdin.take().expect("piped");
        let answers = child.stdout.take().expect("piped");
        let mail = Arc::new(Mutex::new(Mail::default()));
        let box_ = mail.clone();
        thread::spawn(move || deliver(answers, &box_));
        Self { commands: Mutex::new((0, commands)), mail, _process: child }
    }

    /// A window of its own: it shares no cookies with others.
    pub(crate) fn open(&'static self) -> Page {
        let context = self.call(None, "Target.createBrowserContext", json!({"disposeOnDetach": true}));
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = self.call(None, "Target.createTarget", target);
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call(None, "Target.attachToTarget", attached)["sessionId"].clone();
        let page = Page { chromium: self, session: session.as_str().expect("a session").to_owned() };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.resize(1280, 900);
        page
    }

    fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        let (sender, answer) = mpsc::channel();
        {
            let mut commands = lock(&self.commands);
            commands.0 += 1;
            let id = commands.0;
            lock(&self.mail).answers.insert(id, sender);
            let mut command = json!({"id": id, "method": method, "params": parameters});
            if let Some(session) = session {
                command["sessionId"] = session.into();
            }
            let written = write!(commands.1, "{command}\0").and_then(|()| commands.1.flush());
            written.expect("Chromium reads");
        }
        let answer = answer.recv_timeout(PATIENCE);
        let answer = answer.unwrap_or_else(|error| panic!("{method}: no answer from Chromium: {error}"));
        assert_eq!(answer["error"], Value::Null, "{method}: {answer}");
        answer["result"].clone()
    }
}

fn deliver(answers: ChildStdout, mail: &Mutex<Mail>) {
    for message in BufReader::new(answers).split(0).map_while(Result::ok) {
        let message: Value = serde_json::from_slice(&message).expect("Chromium sends JSON");
        let mut mail = lock(mail);
        if let Some(waiting) = message["id"].as_u64().and_then(|id| mail.answers.remove(&id)) {
            // Whoever waited may have given up.
            let _given_up = waiting.send(message);
        } else if let Some(session) = message["sessionId"].as_str() {
            mail.events.entry(session.to_owned()).or_default().push(message);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory for this process. Those of processes that have ended are removed.
fn profile() -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chromium");
    for entry in fs::read_dir(&all).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            let _in_use = fs::remove_dir_all(entry.path());
        }
    }
    let profile = all.join(std::process::id().to_string());
    fs::create_dir_all(&profile).expect("a directory for Chromium");
    profile
}

/// A page in a window of its own.
pub(crate) struct Page {
    chromium: &'static Chromium,
    session: String,
}

impl Page {
    pub(crate) fn call(&self, method: &str, parameters: Value) -> Value {
        self.chromium.call(Some(&self.session), method, parameters)
    }

    /// Leads it to this address, and waits until it is loaded.
    pub(crate) async fn go(&self, url: &str) {
        self.eval("globalThis.old = true");
        let gone = self.call("Page.navigate", json!({"url": url}));
        assert_eq!(gone["errorText"], Value::Null, "{url}: {gone}");
        self.until("!globalThis.old && document.readyState === 'complete'").await;
    }

    /// The value of an expression. A promise is awaited.
    pub(crate) fn eval(&self, expression: &str) -> Value {
        self.try_eval(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    fn try_eval(&self, expression: &str) -> Result<Value, String> {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", parameters);
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].clone()),
            thrown => Err(thrown["exception"]["description"].to_string()),
        }
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, condition: &str) {
        wait_until(&format!("the page has {condition}"), PATIENCE, || async {
            // While one page takes the place of another, there is nothing to ask.
            match self.try_eval(condition) {
                Ok(Value::Bool(true)) => Ok(()),
                other => Err(format!("{other:?} on {}", self.text())),
            }
        })
        .await;
    }

    /// All that can be read on it.
    pub(crate) fn text(&self) -> String {
        let text = self.try_eval("`${location.href} ${document.body?.innerText}`");
        text.map_or_else(|error| error, |text| text.as_str().unwrap_or_default().to_owned())
    }

    /// Clicks in the middle of the element, as a mouse does.
    pub(crate) fn click(&self, selector: &str) {
        let place = self.eval(&format!(
            "{{ const found = document.querySelector({selector:?}); found.scrollIntoView({{block: 'center'}}); \
             const place = found.getBoundingClientRect(); \
             ({{x: place.x + place.width / 2, y: place.y + place.height / 2}}) }}"
        ));
        for (kind, buttons) in [("mousePressed", 1), ("mouseReleased", 0)] {
            let event = json!({"type": kind, "x": place["x"], "y": place["y"], "button": "left", "buttons": buttons, "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key.
    pub(crate) fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            " " => (32, Some(" ")),
            "ArrowRight" => (39, None),
            "ArrowDown" => (40, None),
            other => panic!("no code for {other}"),
        };
        let mut event = json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code});
        if let Some(text) = text {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", event);
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code}),
        );
    }

    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) {
        let preference = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            // Colours that are on their way are neither.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.call("Emulation.setEmulatedMedia", preference);
    }

    /// A picture of the window, as PNG.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64")
    }

    /// The URLs of all its requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        let url = |event: &Value| event["params"]["request"]["url"].as_str().map(str::to_owned);
        self.events("Network.requestWillBeSent").iter().filter_map(url).collect()
    }

    /// What a developer would see in the console: errors and warnings of scripts, and of the browser about the page.
    /// Answers of the app and of the filter that are no success are none of them.
    pub(crate) fn complaints(&self) -> Vec<Value> {
        let thrown = self.events("Runtime.exceptionThrown");
        let mut said = self.events("Runtime.consoleAPICalled");
        said.retain(|event| event["params"]["type"] != "log");
        let mut noted = self.events("Log.entryAdded");
        noted.retain(|event| {
            let entry = &event["params"]["entry"];
            let url = entry["url"].as_str().unwrap_or_default();
            !(entry["source"] == "network" && url.contains("/app"))
        });
        [thrown, said, noted].concat()
    }

    fn events(&self, method: &str) -> Vec<Value> {
        let mail = lock(&self.chromium.mail);
        let events = mail.events.get(&self.session).into_iter().flatten();
        events.filter(|event| event["method"] == method).cloned().collect()
    }
}

/// The text as a literal of JavaScript.
pub(crate) fn quoted(text: impl Display) -> String {
    Value::from(text.to_string()).to_string()
}
