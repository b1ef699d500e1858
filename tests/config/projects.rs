//! `authgear` as a list, and `hosts`: each refusal with the path of the field.

use serde_json::{Value, json};

use authgear_filter::config::Projects;

fn project(name: &str, change: &Value) -> Value {
    let mut project = json!({"endpoint": format!("https://{name}.example"), "upstream": name});
    for (name, value) in change.as_object().unwrap() {
        project[name] = value.clone();
    }
    project
}

#[test]
fn one_project_or_several_may_stand_with_hosts_or_without() {
    let (one, two) = (json!({"hosts": ["a.example"]}), json!({"hosts": ["*.a.example", "b.example"]}));
    for (authgear, count) in [
        (project("a", &json!({})), 1),
        (project("a", &one), 1),
        (json!([project("a", &json!({}))]), 1),
        (json!([project("a", &one)]), 1),
        (json!([project("a", &one), project("b", &two)]), 2),
        (json!([project("a", &one), project("b", &json!({})), project("c", &two)]), 3),
    ] {
        let projects = Projects::parse(json!({"authgear": authgear}).to_string().as_bytes()).unwrap();
        assert_eq!(projects.configs().len(), count, "{authgear}");
        let names: Vec<_> = projects.configs().iter().map(|config| config.project.is_some()).collect();
        assert_eq!(names, vec![count > 1; count], "the log names a project where there are several");
    }
}

#[test]
fn each_mistake_is_refused_with_the_path_of_the_field() {
    let hosts = |hosts: Value| json!({"hosts": hosts});
    let a = || project("a", &hosts(json!(["a.example"])));
    #[rustfmt::skip]
    let cases = [
        (json!([]), "authgear", "empty list"),
        (json!(null), "authgear", "an object, or a list"),
        (json!("a"), "authgear", "an object, or a list"),
        (json!([1]), "authgear[0]", "an object"),
        (json!([a(), null]), "authgear[1]", "an object"),
        (json!([a(), []]), "authgear[1]", "an object"),
        (json!([a(), {"upstream": "b"}]), "authgear[1].endpoint", "missing"),
        (json!([a(), {"endpoint": "https://b.example"}]), "authgear[1].upstream", "missing"),
        (json!([a(), {"endpoint": "https://b.example/x", "upstream": "b"}]), "authgear[1].endpoint", "no path"),
        (json!([a(), project("b", &json!({"mode": "all"}))]), "authgear[1].mode", "`auto`"),
        (json!([a(), project("b", &json!({"host": "b"}))]), "authgear[1].host", "unknown field"),
        (json!([a(), project("b", &json!({"mode": "local", "revalidate": "1s"}))]), "authgear[1].revalidate", "`local`"),
        (json!([a(), project("b", &json!({"login": {}}))]), "authgear[1].login.client_id", "missing"),
        (json!([a(), project("b", &hosts(json!([])))]), "authgear[1].hosts", "empty list"),
        (json!([a(), project("b", &hosts(json!("b.example")))]), "authgear[1].hosts", "a list"),
        (json!([a(), project("b", &hosts(json!(["b.example:80"])))]), "authgear[1].hosts[0]", "port"),
        (json!([a(), project("b", &hosts(json!(["x", "*"])))]), "authgear[1].hosts[1]", "every host"),
        (json!([a(), project("b", &hosts(json!(["a.example"])))]), "authgear[1].hosts[0]", "twice"),
        (json!([a(), project("b", &hosts(json!(["b.example", "A.Example."])))]), "authgear[1].hosts[1]", "twice"),
        (json!([project("b", &hosts(json!(["b", "*.b", "*.B"])))]), "authgear[0].hosts[2]", "twice"),
        (json!([project("b", &hosts(json!(["::1"]))), project("c", &hosts(json!(["[0::1]"])))]), "authgear[1].hosts[0]", "twice"),
        (project("b", &hosts(json!(["b", "b"]))), "authgear.hosts[1]", "twice"),
        (json!([project("a", &json!({})), a(), project("b", &json!({}))]), "authgear[2]", "second project without `hosts`"),
        (json!([project("a", &json!({})), project("b", &json!({}))]), "authgear[1]", "second project without `hosts`"),
    ];
    for (authgear, path, expected) in cases {
        let error = Projects::parse(json!({"authgear": authgear}).to_string().as_bytes()).unwrap_err();
        assert_eq!(error.path, path, "{authgear}: {error}");
        assert!(error.problem.to_string().contains(expected), "{authgear}: {error}");
    }
    let beside = |change: Value| {
        let mut config = json!({"authgear": [a(), project("b", &json!({"login": {"client_id": "web"}}))]});
        for (name, value) in change.as_object().unwrap() {
            config[name] = value.clone();
        }
        Projects::parse(config.to_string().as_bytes()).unwrap_err().path
    };
    let redirect = json!({"access": "required", "on_unauthenticated": {"redirect": "/login"}});
    assert_eq!(beside(redirect), "authgear[1].login");
    assert_eq!(beside(json!({"jwt": [{}]})), "jwt");
}

#[test]
fn what_only_some_projects_state_may_be_required() {
    let modes = |one: &str, two: &str| {
        let one = project("a", &json!({"mode": one, "hosts": ["a.example"]}));
        let two = project("b", &json!({"mode": two}));
        let config = json!({"authgear": [one, two], "require": {"scopes": ["read"]}});
        Projects::parse(config.to_string().as_bytes()).map(|_projects| ()).map_err(|error| error.path)
    };
    assert_eq!(modes("resolver", "auto"), Ok(()));
    assert_eq!(modes("local", "resolver"), Ok(()));
    assert_eq!(modes("resolver", "resolver"), Err("require.scopes".to_owned()));
}
