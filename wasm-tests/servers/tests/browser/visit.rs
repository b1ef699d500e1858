//! A person at the demo: a window of the browser on a running demo, and what a person does there.

use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;
use servers::demo::{AUTHGEAR, Demo};

use crate::chromium::{Page, chromium, quoted};

const DEMO: &str = env!("CARGO_BIN_EXE_demo");

/// A window on a demo.
pub(crate) struct Visit {
    pub(crate) page: Page,
    origin: String,
    /// The demo, if it is not the one that the tests share.
    _own: Option<Demo>,
}

impl Visit {
    /// To the demo that the tests share. None of them takes its resolver down, and each disables other users.
    pub(crate) fn shared() -> Self {
        // A mutex, because a demo's lines have one reader. It ends with this process.
        static SHARED: OnceLock<Mutex<Demo>> = OnceLock::new();
        let demo = SHARED.get_or_init(|| Demo::start(DEMO, &AUTHGEAR).into());
        let origin = origin(&demo.lock().unwrap_or_else(PoisonError::into_inner));
        Self { page: chromium().open(), origin, _own: None }
    }

    /// To a demo that nobody else visits.
    pub(crate) fn alone() -> Self {
        let demo = Demo::start(DEMO, &AUTHGEAR);
        Self { page: chromium().open(), origin: origin(&demo), _own: Some(demo) }
    }

    pub(crate) async fn go(&self, path: &str) {
        self.page.go(&format!("{}{path}", self.origin)).await;
    }

    /// Goes to the start and presses the button of this user.
    pub(crate) async fn log_in(&self, user: &str) {
        self.go("/").await;
        self.page.click(&format!("button[value={user}]"));
        self.page.until(&format!("document.querySelector('h1')?.textContent === 'You are logged in' && document.querySelector('.who')?.textContent.includes({})", quoted(user))).await;
    }

    /// Opens this page of the app, once the console shows how the request for it was decided.
    pub(crate) async fn open_app(&self, path: &str) {
        self.go(path).await;
        self.page.until("document.querySelector('#decision .verdict') !== null").await;
    }

    /// The identity headers that the page shows.
    pub(crate) fn identity(&self) -> Vec<(String, String)> {
        pairs(&self.page, "section[aria-labelledby=who] .headers tr")
    }

    /// Presses one of the buttons that ask, waits for the filter's decision, and returns what the page shows.
    pub(crate) async fn ask(&self, what: &str) -> Shown {
        self.page.eval("delete document.getElementById('result').dataset.state");
        self.page.click(&format!("[data-ask={what}]"));
        self.shown(what).await
    }

    /// What the page shows of the request that was asked last, once it was decided.
    pub(crate) async fn shown(&self, what: &str) -> Shown {
        let result = "document.getElementById('result').dataset";
        self.page
            .until(&format!("{result}.state === 'decided' && {result}.asked === {}", quoted(what)))
            .await;
        let decision = text(&self.page, "#result .verdict");
        let headers = pairs(&self.page, "#result .headers tr");
        Shown { headers, decision, all: text(&self.page, "#result") }
    }

    /// Chooses the path that is asked for.
    pub(crate) fn choose_path(&self, path: &str) {
        self.page.click(&format!("input[value=\"{path}\"]"));
    }

    /// Chooses the user of the tokens.
    pub(crate) fn choose_user(&self, user: &str) {
        self.page.eval(&format!(
            "{{ const select = document.getElementById('user'); select.value = {}; \
             select.dispatchEvent(new Event('change')); }}",
            quoted(user)
        ));
    }

    /// Presses one of Authgear's buttons, and waits until the page says this.
    pub(crate) async fn press(&self, what: &str, said: &str) {
        self.page.click(&format!("[data-do={what}]"));
        self.page
            .until(&format!("document.getElementById('said').textContent.includes({})", quoted(said)))
            .await;
    }

    /// Nothing was asked of any other origin, and the developer's console is empty.
    pub(crate) fn assert_clean(&self) {
        let strangers: Vec<_> = self.page.requests();
        let strangers: Vec<_> = strangers
            .iter()
            .filter(|url| !url.starts_with(&self.origin) && !url.starts_with("data:"))
            .collect();
        assert!(strangers.is_empty(), "{strangers:?}");
        let complaints = self.page.complaints();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

/// What the console shows of a request.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Identity headers and trailers that the app received.
    pub(crate) headers: Vec<(String, String)>,
    /// The filter's decision.
    pub(crate) decision: String,
    pub(crate) all: String,
}

impl Shown {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn text(page: &Page, selector: &str) -> String {
    let text = page.eval(&format!("document.querySelector({})?.innerText ?? ''", quoted(selector)));
    text.as_str().unwrap_or_default().to_owned()
}

fn pairs(page: &Page, rows: &str) -> Vec<(String, String)> {
    let cells = page.eval(&format!(
        "[...document.querySelectorAll({})].map((row) => [row.cells[0].textContent, row.cells[1].textContent])",
        quoted(rows)
    ));
    let text = |cell: &Value| cell.as_str().unwrap_or_default().to_owned();
    cells.as_array().into_iter().flatten().map(|row| (text(&row[0]), text(&row[1]))).collect()
}

fn origin(demo: &Demo) -> String {
    format!("http://localhost:{}", demo.port("--proxy-port"))
}
