//! `authgear-filter explain` as a user runs it. Each case prints what stands in `tests/explain/expected`; after a change
//! that is meant, `SNAPSHOTS=overwrite cargo test -p authgear-filter-cli --test cli_explain` writes it anew.

#[cfg(test)]
mod explain {
    use std::fs;
    use std::path::{Path, PathBuf};

    use snapbox::cmd::{Command, cargo_bin};
    use snapbox::{Data, assert_data_eq};

    /// A second at which the tokens are good.
    const GOOD: &str = "1764000100";

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain")
    }

    fn explain(arguments: &[&str]) -> (String, String, i32) {
        let done = Command::new(cargo_bin!("authgear-filter"))
            .current_dir(folder())
            .env_remove("AUTHGEAR_FILTER_TOKEN")
            .arg("explain")
            .args(arguments)
            .assert();
        let output = done.get_output();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
    }

    #[rustfmt::skip]
    const CASES: &[(&str, &[&str])] = &[
        ("token", &["jwt.yaml", "--url", "https://api.example/x", "--token-file", "token", "--jwks", "jwks.json"]),
        ("token-lacks-role", &["jwt.yaml", "--url", "https://api.example/admin", "--token-file", "token", "--jwks", "jwks.json"]),
        ("token-without-keys", &["jwt.yaml", "--url", "https://api.example/x", "--token-file", "token"]),
        ("token-forged", &["jwt.yaml", "--url", "https://api.example/x", "--token-file", "token-forged", "--jwks", "jwks.json"]),
        ("token-id", &["jwt.yaml", "--url", "https://api.example/x", "--token-file", "token-id", "--jwks", "jwks.json"]),
        ("token-opaque", &["jwt.yaml", "--url", "https://api.example/x", "--token-file", "token-opaque", "--jwks", "jwks.json"]),
        ("token-other-audience", &["jwt.yaml", "--url", "https://api.example/x", "--token-file", "token-other-audience", "--jwks", "jwks.json"]),
        ("token-other-issuer", &["jwt.yaml", "--url", "https://api.example/x", "--token-file", "token-other-issuer", "--jwks", "jwks.json"]),
        ("token-unknown-key", &["jwt.yaml", "--url", "https://api.example/x", "--token-file", "token-unknown-key", "--jwks", "jwks.json"]),
        ("public", &["jwt.yaml", "--url", "https://api.example/public", "--header", "X_User: forged", "--header", "Accept: */*"]),
        ("odd-path", &["jwt.yaml", "--url", "https://api.example/public/..%2f%61dmin;x?y=1"]),
        ("unclear-path", &["jwt.yaml", "--url", "https://api.example/public/%zz"]),
        ("bad-path", &["jwt.yaml", "--url", "https://api.example/public#x"]),
        ("forward-auth", &["forward-auth.yaml", "--url", "https://app.example/x?y=1", "--method", "POST", "--client-address", "192.0.2.1",
            "--header", "Cookie: session=c00kie; theme=dark", "--header", "Authorization: Basic aHVudGVyOmh1bnRlcjI=",
            "--header", "X-User: forged", "--header", "X-Tenant: t3nant"]),
        ("forward-auth-navigation", &["forward-auth.yaml", "--url", "https://app.example/x?y=1", "--header", "Accept: text/html"]),
        ("authgear-cookie", &["authgear.yaml", "--url", "https://a.example.com/account", "--header", "Cookie: session=c00kie"]),
        ("authgear-login", &["authgear.yaml", "--url", "https://a.example.com/account?tab=1", "--header", "Accept: text/html"]),
        ("authgear-other-method", &["authgear.yaml", "--url", "https://a.example.com/admin"]),
        ("authgear-requirement", &["authgear.yaml", "--method", "POST", "--url", "https://x.b.example.com/admin", "--token-file", "token"]),
        ("authgear-misdirected", &["authgear.yaml", "--url", "https://c.example.com/account"]),
        ("introspection", &["introspection.yaml", "--url", "https://api.example/x", "--token-file", "token-opaque"]),
        ("query", &["query.yaml", "--url", "https://api.example/x?a=1&access_token=c00kie&b=2", "--header", "Accept: text/html"]),
        ("introspection-jwt", &["introspection.yaml", "--url", "https://api.example/x", "--token-file", "token"]),
        ("json", &["jwt.yaml", "--json", "--url", "https://api.example/admin/..%2fx", "--token-file", "token", "--jwks", "jwks.json"]),
    ];

    fn secrets() -> Vec<String> {
        let tokens = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
        let tokens = tokens.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("token"));
        tokens
            .map(|path| fs::read_to_string(path).unwrap().trim().to_owned())
            // Its signature alone makes a token of what is shown of it.
            .flat_map(|token| [token.rsplit('.').next().unwrap().to_owned(), token])
            .chain(["hunter2", "s3cr3t", "c00kie", "t3nant", "aHVudGVy"].map(str::to_owned))
            .collect()
    }

    #[test]
    fn every_case_is_explained_as_it_was_and_shows_no_secret() {
        for (name, arguments) in CASES {
            let (stdout, stderr, code) = explain(&[*arguments, &["--now", GOOD]].concat());
            assert_eq!((stderr.as_str(), code), ("", 0), "{name}: {stdout}");
            for secret in secrets() {
                assert!(!stdout.contains(&secret), "{name} shows {secret}");
            }
            let expected =
                Data::read_from(&folder().join("expected").join(format!("{name}.txt")), None).raw();
            assert_data_eq!(stdout, expected);
        }
    }

    #[test]
    fn times_decide_and_are_told() {
        let token =
            ["jwt.yaml", "--url", "https://api.example/x", "--token-file", "token", "--jwks", "jwks.json"];
        for (now, expected) in [
            ("1764003629", "accepted: good; it is refused in 1 s"),
            ("1764003630", "refused: expired: `exp` was 30 s ago (1764003600); leeway is 30 s"),
            ("1764010100", "refused: expired: `exp` was 1 h 48 min ago"),
            ("1763999970", "accepted: good"),
            ("1763999969", "refused: issued in the future: `iat` is in 31 s (1764000000); leeway is 30 s"),
        ] {
            let (stdout, ..) = explain(&[token.as_slice(), &["--now", now]].concat());
            assert!(stdout.contains(expected), "{now}: {stdout}");
        }
    }

    #[test]
    fn a_token_may_come_from_an_argument_a_file_standard_input_or_the_environment() {
        let token = fs::read_to_string(folder().join("token")).unwrap();
        let arguments = ["jwt.yaml", "--url", "https://api.example/x", "--jwks", "jwks.json", "--now", GOOD];
        let run = || {
            let command = Command::new(cargo_bin!("authgear-filter")).current_dir(folder());
            command.env_remove("AUTHGEAR_FILTER_TOKEN").arg("explain").args(arguments)
        };
        let ways = [
            run().args(["--token", token.trim()]),
            run().args(["--token-file", "token"]),
            run().args(["--token-file", "-"]).stdin(token.as_str()),
            run().env("AUTHGEAR_FILTER_TOKEN", token.trim()),
        ];
        for way in ways {
            let done = way.assert().success();
            let stdout = String::from_utf8_lossy(&done.get_output().stdout);
            assert!(stdout.contains("accepted: good"), "{stdout}");
        }
    }

    #[test]
    fn what_cannot_be_explained_is_said_with_its_exit_code_and_without_secrets() {
        let url = ["--url", "https://api.example/x"];
        #[rustfmt::skip]
        let cases: &[(&[&str], i32, &str)] = &[
            (&["jwt.yaml"], 2, "--url"),
            (&["jwt.yaml", "--url", "/x"], 2, "write a whole one"),
            (&["jwt.yaml", "--url", "ftp://api.example/x"], 2, "write a whole one"),
            (&["jwt.yaml", "--url", "https:///x"], 2, "write a whole one"),
            (&["jwt.yaml", "--url", "https://api.example/x", "--header", "hunter2 without a colon"], 2, "write `Name: value`"),
            (&["jwt.yaml", "--url", "https://api.example/x", "--jwks", "jwt.yaml"], 2, "jwt.yaml: "),
            (&["jwt.yaml", "--url", "https://api.example/x", "--jwks", "missing.json"], 2, "missing.json: "),
            (&["jwt.yaml", "--url", "https://api.example/x", "--token", "a", "--token-file", "token"], 2, "cannot be used with"),
            (&["missing.yaml", "--url", "https://api.example/x"], 2, "missing.yaml: "),
            (&["jwks.json", "--url", "https://api.example/x"], 1, "error[configuration]: "),
        ];
        for (arguments, code, expected) in cases {
            let (stdout, stderr, found) = explain(arguments);
            let said = format!("{stdout}{stderr}");
            assert_eq!(found, *code, "{arguments:?}: {said}");
            assert!(said.contains(expected) && !said.contains("hunter2"), "{arguments:?}: {said}");
        }
        let several = ["../check/apisix/routes.yaml", "--line", "30"];
        let (_, stderr, code) = explain(&[&several[..1], &url].concat());
        assert_eq!(code, 1, "{stderr}");
    }

    #[test]
    fn of_several_configurations_one_is_chosen_by_its_line() {
        let envoy = "../check/envoy-several/envoy.yaml";
        let url = ["--url", "https://api.example/x"];
        let (_, stderr, code) = explain(&[&[envoy], url.as_slice()].concat());
        assert_eq!(code, 2);
        assert!(stderr.contains("choose a configuration with --line: they begin at 10, 19"), "{stderr}");
        let (stdout, stderr, code) = explain(&[&[envoy, "--line", "19"], url.as_slice()].concat());
        assert_eq!((stderr.as_str(), code), ("", 0));
        assert!(stdout.contains("http://second.internal/check"), "{stdout}");
    }
}
