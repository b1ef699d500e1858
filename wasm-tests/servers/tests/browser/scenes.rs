//! What a person does with the demo: logs in, forges, sends tokens, logs out, and watches an outage.

use crate::chromium::quoted;
use crate::visit::{Visit, text};

#[tokio::test]
async fn who_logs_in_sees_the_headers_that_the_app_got_until_logging_out() {
    let visit = Visit::shared();
    visit.open_app("/app").await;
    assert_eq!(visit.identity(), vec![]);
    assert!(text(&visit.page, "section[aria-labelledby=who]").contains("Nobody"));
    assert!(text(&visit.page, "#decision").starts_with("No credential"));

    visit.log_in("alice").await;
    visit.page.click("main a.primary");
    visit
        .page
        .until("location.pathname === '/app' && document.querySelector('#decision .verdict') !== null")
        .await;
    let identity = visit.identity();
    let has =
        |name: &str, value: &str| identity.iter().any(|pair| *pair == (name.to_owned(), value.to_owned()));
    assert!(has("x-authgear-session-valid", "true") && has("x-authgear-user-id", "alice"), "{identity:?}");
    assert!(has("x-authgear-user-roles", "admin,editor"), "{identity:?}");
    let decision = text(&visit.page, "#decision");
    assert!(["Asked", "Remembered"].iter().any(|name| decision.starts_with(name)), "{decision}");
    for fact in ["User\nalice", "Worker\n", "In the filter\n"] {
        assert!(decision.contains(fact), "{fact}: {decision}");
    }

    visit.page.click("form[action='/logout'] button");
    visit.page.until("document.querySelector('button[value=alice]') !== null").await;
    visit.open_app("/app").await;
    assert_eq!(visit.identity(), vec![]);
    visit.assert_clean();
}

#[tokio::test]
async fn a_members_page_sends_people_to_log_in_and_brings_them_back() {
    let visit = Visit::shared();
    visit.go("/app/account").await;
    visit.page.until("document.querySelector('button[value=carol]') !== null").await;
    visit.page.click("button[value=carol]");
    visit
        .page
        .until(
            "location.pathname === '/app/account' && document.querySelector('#decision .verdict') !== null",
        )
        .await;
    assert!(visit.identity().contains(&("x-authgear-user-id".into(), "carol".into())));
    visit.assert_clean();
}

#[tokio::test]
async fn a_forged_identity_does_not_reach_the_app_in_a_header_or_a_trailer() {
    let visit = Visit::shared();
    visit.open_app("/app").await;
    for (user, expected) in [(None, None), (Some("alice"), Some("alice"))] {
        if let Some(user) = user {
            visit.log_in(user).await;
            visit.open_app("/app").await;
        }
        for (what, trailers) in [("forged-header", None), ("forged-trailer", Some("42"))] {
            let shown = visit.ask(what).await;
            assert!(shown.all.contains("did not reach the app"), "{shown:?}");
            assert_eq!(shown.header("x-authgear-user-id"), expected, "{what}: {shown:?}");
            // The app sees trailers, if they are no identity's.
            assert_eq!(shown.header("x-checksum"), trailers, "{what}: {shown:?}");
        }
    }
    visit.assert_clean();
}

#[tokio::test]
async fn tokens_are_whose_they_are_and_an_expired_one_is_nobodys() {
    let visit = Visit::shared();
    visit.open_app("/app").await;
    visit.choose_user("bob");
    for path in ["/app", "/app/account"] {
        visit.choose_path(path);
        for (what, decision) in [("jwt", "Verified locally"), ("opaque", "Asked")] {
            let shown = visit.ask(what).await;
            assert_eq!(shown.header("x-authgear-user-id"), Some("bob"), "{what}: {shown:?}");
            assert_eq!(shown.decision, decision, "{shown:?}");
        }
    }
    for (what, decision) in [("expired", "Refused"), ("plain", "No credential")] {
        let denied = visit.ask(what).await;
        assert!(denied.all.contains("The filter answered 401 itself"), "{denied:?}");
        assert_eq!(denied.decision, decision, "{denied:?}");
    }
    visit.choose_path("/app");
    let seen = visit.ask("expired").await;
    assert_eq!(seen.headers, vec![("x-authgear-session-valid".to_owned(), "false".to_owned())], "{seen:?}");
    assert!(seen.all.contains("Reason") && seen.all.contains("expired"), "{seen:?}");
    // A public path: nobody is somebody there.
    visit.choose_path("/app/static");
    let public = visit.ask("jwt").await;
    assert_eq!((public.headers, public.decision.as_str()), (vec![], "Public"));
    visit.assert_clean();
}

#[tokio::test]
async fn an_answer_of_authgear_is_remembered() {
    let visit = Visit::shared();
    visit.log_in("guest").await;
    visit.open_app("/app").await;
    // Each worker asks for itself, and the browser has a connection to either.
    while visit.ask("plain").await.decision != "Remembered" {}
    visit.assert_clean();
}

#[tokio::test]
async fn ended_sessions_and_disabled_users_are_nobody_once_nothing_is_remembered() {
    let visit = Visit::alone();
    for (user, button, said) in [("bob", "revoke", "have ended"), ("carol", "disable", "is disabled")] {
        visit.log_in(user).await;
        visit.open_app("/app").await;
        assert_eq!(visit.ask("plain").await.header("x-authgear-user-id"), Some(user));
        visit.press(button, said).await;
        // Up to ten seconds later.
        while visit.ask("plain").await.header("x-authgear-user-id").is_some() {}
    }
    // Whoever is disabled cannot log in.
    visit.go("/").await;
    assert_eq!(visit.page.eval("document.querySelector('button[value=carol]')"), serde_json::Value::Null);
    visit.open_app("/app").await;
    visit.choose_user("carol");
    visit.press("disable", "may log in again").await;
    visit.log_in("carol").await;
    visit.assert_clean();
}

#[tokio::test]
async fn an_outage_denies_whoever_must_be_asked_about_and_ends() {
    let visit = Visit::alone();
    visit.open_app("/app").await;
    visit.press("resolver", "The resolver is down").await;
    let denied = visit.ask("opaque").await;
    assert!(denied.all.contains("The filter answered 503 itself"), "{denied:?}");
    assert_eq!(denied.decision, "Denied: no answer");
    // A JWT needs no resolver.
    assert_eq!(visit.ask("jwt").await.header("x-authgear-user-id"), Some("alice"));
    assert_eq!(visit.ask("plain").await.headers, vec![]);
    visit.press("resolver", "The resolver answers again").await;
    assert_eq!(visit.ask("opaque").await.header("x-authgear-user-id"), Some("alice"));

    // Whoever lost the console finds the switch on the start page.
    visit.press("resolver", "The resolver is down").await;
    visit.go("/").await;
    visit.page.click("button[value=up]");
    visit
        .page
        .until("location.pathname === '/' && document.querySelector('button[value=up]') === null")
        .await;
    visit.open_app("/app").await;
    assert_eq!(visit.ask("opaque").await.header("x-authgear-user-id"), Some("alice"));
    visit.assert_clean();
}

#[tokio::test]
async fn the_log_and_the_plot_show_what_was_asked() {
    let visit = Visit::alone();
    visit.open_app("/app").await;
    visit.choose_path("/app/account");
    visit.ask("jwt").await;
    visit.ask("opaque").await;
    visit.ask("expired").await;
    visit.page.until("document.getElementById('log').innerText.includes('/app/account 401')").await;
    // From the filter's own counters.
    for kind in ["No credential1", "Asked1", "Verified locally1", "Refused1"] {
        let item = "[...document.querySelectorAll('#legend li')].some((item) => item.textContent === ";
        visit.page.until(&format!("{item}{})", quoted(kind))).await;
    }
    let label = visit.page.eval("document.querySelector('#plot svg').getAttribute('aria-label')");
    let kinds = "No credential: 1, Asked: 1, Verified locally: 1, Refused: 1";
    assert!(label.as_str().is_some_and(|label| label.ends_with(kinds)), "{label}");
    visit.assert_clean();
}
