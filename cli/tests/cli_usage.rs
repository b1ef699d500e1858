//! The program as such: exit codes, colours, standard input and output, completions, manual pages; and input that means
//! harm. Whatever is read, it answers; it never panics.

#[cfg(test)]
mod usage {
    use std::fs;
    use std::io::{Read, Write};
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use snapbox::cmd::cargo_bin;

    const GOOD: &str = "authgear: { endpoint: https://myapp.authgear.cloud, upstream: authgear }\n";
    const BAD: &str = "authgear: { endpoint: https://myapp.authgear.cloud, upstraem: authgear }\n";
    const WARNED: &str = "authgear: { endpoint: https://myapp.authgear.cloud, upstream: authgear }\non_error: { action: allow }\n";

    fn run(arguments: &[&str], input: &[u8], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(cargo_bin!("authgear-filter"));
        command
            .args(arguments)
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .envs(environment.iter().copied());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // It may not read to the end.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn exit_codes_are_those_of_the_document() {
        let cases: &[(&[&str], &str, i32)] = &[
            (&["check", "-"], GOOD, 0),
            (&["check", "-"], WARNED, 0),
            (&["check", "--deny-warnings", "-"], WARNED, 1),
            (&["check", "--deny-warnings", "-"], GOOD, 0),
            (&["check", "-"], BAD, 1),
            (&["check", "--json", "-"], BAD, 1),
            (&["check", "-"], "", 1),
            (&["check", "-"], "# nothing\n", 1),
            (&["check"], "", 2),
            (&["check", "missing.yaml"], "", 2),
            (&["check", "missing.yaml", "-"], GOOD, 2),
            (&["check", "/"], "", 2),
            (&["check", "--unknown", "-"], GOOD, 2),
            (&[], "", 2),
            (&["unknown"], "", 2),
            (&["man", "unknown"], "", 2),
            (&["completions", "unknown"], "", 2),
            (&["schema"], "", 0),
            (&["--help"], "", 0),
            (&["--version"], "", 0),
        ];
        for (arguments, input, code) in cases {
            let output = run(arguments, input.as_bytes(), &[]);
            let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
            assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {said}");
            if *code == 2 {
                assert_eq!(text(&output.stdout), "", "{arguments:?}: what is wrong goes to standard error");
            }
        }
        let document =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md")).unwrap();
        for row in ["| 0 | ", "| 1 | ", "| 2 | "] {
            assert!(document.contains(row), "{row}");
        }
    }

    #[test]
    fn colours_are_for_terminals_and_for_those_who_ask() {
        let cases: &[(&[&str], &[(&str, &str)], bool)] = &[
            (&[], &[], false),
            (&["--color", "auto"], &[], false),
            (&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false),
            (&["--color", "always"], &[], true),
            (&["--color", "always"], &[("NO_COLOR", "1")], true),
            (&[], &[("CLICOLOR_FORCE", "1")], true),
            (&["--json", "--color", "always"], &[], false),
        ];
        for (arguments, environment, coloured) in cases {
            let arguments = [&["check", "-"], *arguments].concat();
            let output = run(&arguments, BAD.as_bytes(), environment);
            assert_eq!(text(&output.stdout).contains('\u{1b}'), *coloured, "{arguments:?} {environment:?}");
        }
    }

    #[test]
    fn completions_and_manual_pages_name_every_command() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let output = run(&["completions", shell], b"", &[]);
            let script = text(&output.stdout);
            for word in ["check", "explain", "schema", "deny-warnings", "token-file"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        let page = text(&run(&["man"], b"", &[]).stdout);
        for word in [".TH authgear", "check", "explain", "schema", "Exit codes"] {
            assert!(page.contains(word), "{word}: {page}");
        }
        let page = text(&run(&["man", "explain"], b"", &[]).stdout);
        assert!(page.contains("jwks") && page.contains("AUTHGEAR_FILTER_TOKEN"), "{page}");
    }

    #[test]
    fn a_reader_that_has_enough_is_no_failure() {
        let mut child = Command::new(cargo_bin!("authgear-filter"))
            .arg("schema")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
    }

    #[test]
    fn hostile_input_gets_an_answer_and_never_a_panic() {
        let laughs: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned())
            .chain((1_u32..40).map(|n| {
                let alias = format!("*a{}", n.saturating_sub(1));
                format!("a{n}: &a{n} [{}]\n", [alias.as_str(); 10].join(", "))
            }))
            .collect();
        let deep_json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_object = format!("{{\"authgear\": {}1{}}}", "{\"a\":".repeat(120), "}".repeat(120));
        let wide =
            format!("authgear: {{ {} }}\n", (0..100_000).map(|n| format!("k{n}: 1, ")).collect::<String>());
        let long_line = format!("{{\"authgear\": {{\"endpoint\": \"https://{}\"}}}}", "a".repeat(4_000_000));
        let long_field = format!("{{\"authgear\": {{\"{}\": 1}}}}", "a".repeat(1_000_000));
        let (lists, flow) = ("- ".repeat(100_000), "{a: ".repeat(100_000));
        let many_documents = "---\nauthgear: { endpoint: https://a.example, upstream: a }\n".repeat(2_000);
        let in_string =
            serde_json::json!({ "plugins": { "authgear-filter": { "conf": deep_json } } }).to_string();
        let cases: &[(&str, &[u8], &str)] = &[
            ("nothing", b"", "nothing-found"),
            ("white space", b" \n\t\n ", ""),
            ("a NUL", b"\0", ""),
            ("Latin-1", b"authgear: { endpoint: https://a.example, upstream: \"\xfc\" }", "no UTF-8"),
            ("UTF-16", b"\xff\xfea\0", "UTF-16"),
            ("UTF-32", b"\xff\xfe\0\0a\0\0\0", "UTF-16"),
            ("a mark and nothing", b"\xef\xbb\xbf", "nothing-found"),
            ("half a character", b"authgear: \xe2\x82", "no UTF-8"),
            ("too large", &vec![b'#'; 9 * 1024 * 1024], "longer than"),
            ("a billion laughs", laughs.as_bytes(), "more than 500000 values"),
            ("deep JSON", deep_json.as_bytes(), "error[syntax]"),
            ("a deep object", deep_object.as_bytes(), "error["),
            ("deep lists of YAML", lists.as_bytes(), "more than 100 deep"),
            ("deep flow of YAML", flow.as_bytes(), "error[syntax]"),
            ("wide", wide.as_bytes(), "error[configuration]"),
            ("a long line", long_line.as_bytes(), "error[configuration]"),
            ("a long name", long_field.as_bytes(), "error[configuration]"),
            ("many documents", many_documents.as_bytes(), "2000 configurations: 0 errors"),
            ("a deep string", in_string.as_bytes(), "error[configuration]"),
            ("an alias of itself", b"authgear: &a { endpoint: *a }", "error["),
            ("a list as a name", b"? [authgear]\n: 1", "must be text"),
            ("a number as a name", b"1: 2", "error[configuration]"),
            ("no map", b"just text", "nothing-found"),
            ("a list", b"[1, 2]", "nothing-found"),
            ("tabs", b"authgear:\n\tendpoint: x\n", "error[syntax]"),
            ("old line ends", b"authgear:\r  endpoint: https://a.example\r  upstream: a\r", ""),
            ("a tag", b"authgear: !!python/object:os.system { endpoint: x, upstream: y }", "error["),
            ("infinity", b"authgear: { endpoint: .inf, upstream: .nan }", "error[configuration]"),
            (
                "a huge number",
                b"cache: { max_entries: 99999999999999999999999999999999 }",
                "error[configuration]",
            ),
            (
                "a merge key",
                b"x: &x { endpoint: y }\nauthgear: { <<: *x, upstream: z }",
                "error[configuration]",
            ),
            ("escapes", b"authgear: { \"\\e[2J\\x07\": 1 }", "error[configuration]"),
        ];
        for (name, input, expected) in cases {
            let output = run(&["check", "-"], input, &[]);
            let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
            let start: String = stdout.chars().take(400).collect();
            assert!(matches!(output.status.code(), Some(0 | 1)), "{name}: {:?} {stderr}", output.status);
            assert_eq!(stderr, "", "{name}");
            assert!(stdout.contains(expected), "{name}: {start}");
            assert!(
                !stdout.contains(['\u{1b}', '\u{7}', '\0']),
                "{name}: what is printed does not move the cursor"
            );
            let json = run(&["check", "--json", "-"], input, &[]);
            serde_json::from_slice::<serde_json::Value>(&json.stdout)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn every_prefix_of_an_envoy_configuration_gets_an_answer() {
        let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy.yaml")).unwrap();
        for end in (0..whole.len()).step_by(whole.len().div_ceil(150)) {
            let output = run(&["check", "-"], whole.get(..end).unwrap(), &[]);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{end}: {}", text(&output.stderr));
        }
    }
}
