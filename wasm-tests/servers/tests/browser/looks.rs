//! How the pages look and are used: with keys alone, on small screens, in light and in dark.

use std::path::Path;
use std::{env, fs};

use serde_json::Value;

use crate::chromium::Page;
use crate::picture::with_palette;
use crate::visit::Visit;

/// Below the root of the workspace: where the pictures of README are.
const PICTURES: &str = "SCREENSHOTS";

/// What is asked for the pictures, again and again, and until the plot has how many bars.
const ROUNDS: [(&str, &str); 6] = [
    ("/app", "plain"),
    ("/app/account", "jwt"),
    ("/app", "plain"),
    ("/app/account", "opaque"),
    ("/app/static", "plain"),
    ("/app/account", "expired"),
];
const BARS: u64 = 12;

#[tokio::test]
async fn all_can_be_done_with_keys_alone() {
    let visit = Visit::alone();
    let page = &visit.page;
    visit.go("/").await;
    tab_to(page, "button[value=alice]");
    page.press("Enter");
    page.until("document.querySelector('main a.primary') !== null").await;
    tab_to(page, "main a.primary");
    page.press("Enter");
    page.until("location.pathname === '/app' && document.querySelector('#decision .verdict') !== null").await;

    tab_to(page, "input[name=path]");
    page.press("ArrowRight");
    page.until("document.querySelector('[name=path]:checked').value === '/app/account'").await;
    tab_to(page, "#user");
    page.press("ArrowDown");
    page.until("document.getElementById('user').value === 'bob'").await;
    for (what, key) in [("plain", "Enter"), ("forged-header", " "), ("jwt", "Enter")] {
        page.eval("delete document.getElementById('result').dataset.state");
        tab_to(page, &format!("[data-ask={what}]"));
        page.press(key);
        let shown = visit.shown(what).await;
        let user = if what == "jwt" { "bob" } else { "alice" };
        assert_eq!(shown.header("x-authgear-user-id"), Some(user), "{shown:?}");
        // What was pressed is still where the next key goes.
        assert_eq!(page.eval(&format!("document.activeElement.dataset.ask === '{what}'")), true);
        // Whoever does not see the page is told.
        let said = page.eval("document.querySelector('[role=status]').textContent");
        assert!(said.as_str().is_some_and(|said| said.contains("Answered with 200")), "{said}");
    }
    tab_to(page, "[data-do=resolver]");
    page.press("Enter");
    page.until("document.getElementById('resolver').textContent === 'The resolver is down'").await;
    page.press(" ");
    page.until("document.getElementById('resolver').textContent === 'The resolver answers'").await;
    visit.assert_clean();
}

/// Presses Tab until this element has the focus, which must be seen there.
fn tab_to(page: &Page, selector: &str) {
    for _ in 0..60 {
        page.press("Tab");
        let focus = page.eval(&format!(
            "{{ const at = document.activeElement; const style = getComputedStyle(at); \
             ({{there: at.matches({selector:?}), outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, \
             at: at.outerHTML.slice(0, 100)}}) }}"
        ));
        assert!(
            focus["at"] == Value::Null
                || focus["outline"] == true
                || focus["at"].as_str().is_some_and(|at| at.starts_with("<body")),
            "{focus}"
        );
        if focus["there"] == true {
            return;
        }
    }
    panic!("no way to {selector} with Tab on {}", page.text());
}

#[tokio::test]
async fn nothing_is_cut_off_on_small_screens_and_all_can_be_read_in_light_and_in_dark() {
    let visit = Visit::shared();
    let page = &visit.page;
    for user in [None, Some("alice")] {
        if let Some(user) = user {
            visit.log_in(user).await;
        }
        // The last one leads whoever is nobody to the login.
        for path in ["/", "/app", "/app/account"] {
            visit.go(path).await;
            if path == "/app" {
                page.until("document.querySelector('#decision .verdict') !== null").await;
                visit.ask("forged-header").await;
                visit.ask("expired").await;
            }
            for scheme in ["light", "dark"] {
                page.prefer(scheme);
                for width in [320, 360, 768, 1280] {
                    page.resize(width, 740);
                    let wide = page.eval("document.documentElement.scrollWidth");
                    assert!(wide.as_u64() <= Some(width.into()), "{path} at {width}: {wide}");
                }
                let faint = page.eval(FAINT);
                assert_eq!(faint, Value::Array(vec![]), "{path}, {scheme}, {user:?}");
                let ground = page.eval("getComputedStyle(document.body).backgroundColor");
                let is_dark = ground.as_str().is_some_and(|ground| ground.starts_with("rgb(15,"));
                assert_eq!(is_dark, scheme == "dark", "{ground}");
            }
        }
    }
    visit.assert_clean();
}

/// The texts whose contrast is below 4.5 to 1 (WCAG 2.2, 1.4.3).
const FAINT: &str = r#"{
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [red, green, blue] = channels(colour).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if ((channels(backgroundColor)[3] ?? 1) === 1) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const at = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || at.closest("svg, script, style, noscript, option") || at.getClientRects().length === 0) continue;
    const [one, other] = [light(getComputedStyle(at).color), light(ground(at))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) found.push(`${walk.currentNode.textContent.trim()}: ${contrast.toFixed(2)}`);
  }
  found
}"#;

/// Makes the pictures of README: `make screenshot`.
#[tokio::test]
async fn the_console_shows_an_afternoon_of_the_demo() {
    let visit = Visit::alone();
    let page = &visit.page;
    visit.log_in("alice").await;
    visit.open_app("/app").await;
    for what in ["plain", "plain", "jwt", "jwt", "opaque"] {
        visit.ask(what).await;
    }
    visit.choose_path("/app/account");
    visit.ask("expired").await;
    visit.press("resolver", "The resolver is down").await;
    visit.ask("opaque").await;
    visit.press("resolver", "The resolver answers again").await;
    visit.choose_path("/app/static");
    visit.ask("plain").await;
    visit.choose_path("/app");
    let shown = visit.ask("forged-header").await;
    assert!(shown.all.contains("did not reach the app"), "{shown:?}");
    page.until("[...document.querySelectorAll('#legend li')].length >= 4").await;
    visit.assert_clean();

    let Some(directory) = env::var_os(PICTURES) else { return };
    let directory = Path::new(&directory);
    // Some minutes of what people do, so that the plot has something to show.
    let bars =
        "new Set([...document.querySelectorAll('#plot rect')].map((bar) => bar.getAttribute('x'))).size";
    for round in 0_usize.. {
        let (path, what) = ROUNDS[round % ROUNDS.len()];
        visit.choose_path(path);
        visit.ask(what).await;
        if page.eval(bars).as_u64() >= Some(BARS) {
            break;
        }
    }
    visit.choose_path("/app");
    visit.ask("forged-header").await;
    let picture =
        |name: &str| fs::write(directory.join(name), with_palette(&page.picture())).expect("a picture");
    page.eval("window.scrollTo(0, 0); document.activeElement.blur()");
    page.resize(1120, 900);
    // All of it but for what can be opened at its end.
    let end = page.eval(
        "Math.round(document.getElementById('log').closest('section').getBoundingClientRect().bottom + 12)",
    );
    let end = u32::try_from(end.as_u64().expect("a height")).expect("a height");
    page.resize(1120, end);
    for scheme in ["light", "dark"] {
        page.prefer(scheme);
        picture(&format!("demo-{scheme}.png"));
    }
}
