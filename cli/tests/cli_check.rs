//! `authgear-filter check` as a user runs it: what it prints, and its exit code.
//!
//! Each folder of `tests/check` is a case: files that are checked together, and what is printed. After a change that is
//! meant, `SNAPSHOTS=overwrite cargo test -p authgear-filter-cli --test cli_check` writes it anew.

#[cfg(test)]
mod check {
    use std::fs;
    use std::path::{Path, PathBuf};

    use snapbox::cmd::{Command, cargo_bin};
    use snapbox::{Data, assert_data_eq};

    fn check(directory: &Path, arguments: &[&str]) -> (String, String, i32) {
        let done = Command::new(cargo_bin!("authgear-filter"))
            .current_dir(directory)
            .env_remove("NO_COLOR")
            .arg("check")
            .args(arguments)
            .assert();
        let output = done.get_output();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
    }

    /// Without the lists of known fields, which get longer with each new one.
    fn without_lists(text: &str) -> String {
        let lines = text.lines().map(|line| match line.split_once(", expected one of `") {
            Some((start, _)) => format!("{start}, expected one of …\n"),
            None => format!("{line}\n"),
        });
        lines.collect()
    }

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn every_case_is_told_as_it_was() {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
        let mut names: Vec<_> = fs::read_dir(&cases).unwrap().map(|case| case.unwrap().path()).collect();
        names.sort();
        for case in names {
            let mut files: Vec<_> = fs::read_dir(&case)
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .filter(|name| name != "expected.txt")
                .collect();
            files.sort();
            let arguments: Vec<_> = files.iter().map(String::as_str).collect();
            let (stdout, stderr, code) = check(&case, &arguments);
            assert_eq!(stderr, "", "{case:?}");
            let expected = Data::read_from(&case.join("expected.txt"), None).raw();
            assert_data_eq!(format!("{}exit code {code}\n", without_lists(&stdout)), expected);
        }
    }

    /// The names of all that is found, each with how often.
    fn found(arguments: &[&str]) -> (Vec<String>, usize) {
        let (stdout, stderr, _) = check(&root(), &[&["--json"], arguments].concat());
        assert_eq!(stderr, "");
        let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        let list = |name: &str| json.get(name).unwrap().as_array().unwrap().clone();
        let text =
            |value: &serde_json::Value, name: &str| value.get(name).unwrap().as_str().unwrap().to_owned();
        let mut names: Vec<_> = list("findings").iter().map(|finding| text(finding, "name")).collect();
        names.sort();
        (names, list("configurations").len())
    }

    #[test]
    fn what_is_shipped_has_no_errors_and_the_warnings_that_it_explains() {
        const HOSTED_GATEWAY: &str = "deploy/envoy-gateway/hosted.yaml";
        // Files, how many configurations they have, and what is found.
        let cases: &[(&[&str], usize, &[&str])] = &[
            // Authgear's own pages run without the filter.
            (&["envoy.yaml"], 1, &["filter-disabled"]),
            (&["deploy/envoy/auth-o-tron.yaml"], 1, &["no-early-removal"]),
            (&["deploy/apisix/config.yaml", "deploy/apisix/apisix.yaml"], 1, &[]),
            (&["deploy/apisix/config.yaml", "deploy/apisix/route.json"], 1, &[]),
            (&["deploy/istio/early-removal.yaml", "deploy/istio/hosted.yaml"], 1, &[]),
            (&["deploy/istio/early-removal.yaml", "deploy/istio/self-hosted.yaml"], 1, &[]),
            // The guard is applied first, and is looked for.
            (&["deploy/istio/hosted.yaml"], 1, &["no-early-removal"]),
            (&["deploy/envoy-gateway/guards.yaml", HOSTED_GATEWAY], 1, &[]),
            (&["deploy/envoy-gateway/guards.yaml", "deploy/envoy-gateway/self-hosted.yaml"], 1, &[]),
            (
                &[
                    "deploy/envoy-gateway/enable-patches.yaml",
                    "deploy/envoy-gateway/guards.yaml",
                    HOSTED_GATEWAY,
                ],
                1,
                &[],
            ),
            (&[HOSTED_GATEWAY], 1, &["no-early-removal", "not-always-on"]),
            // Never both.
            (
                &[
                    "deploy/istio/early-removal.yaml",
                    "deploy/istio/hosted.yaml",
                    "deploy/istio/traffic-extension.yaml",
                ],
                2,
                &["runs-twice"],
            ),
        ];
        for (files, configurations, expected) in cases {
            let (names, count) = found(files);
            assert_eq!(
                (names, count),
                (expected.iter().map(ToString::to_string).collect(), *configurations),
                "{files:?}"
            );
        }
        let mut shipped: Vec<_> = fs::read_dir(root().join("deploy"))
            .unwrap()
            .filter(|folder| {
                // What is no configuration of a proxy.
                let others = ["grafana", "prometheus", "schema"];
                !others.iter().any(|other| folder.as_ref().unwrap().file_name() == *other)
            })
            .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
            .map(|file| file.unwrap().path().strip_prefix(root()).unwrap().to_str().unwrap().to_owned())
            .filter(|path| path.ends_with(".yaml") || path.ends_with(".json"))
            .collect();
        shipped.retain(|path| !cases.iter().any(|(files, ..)| files.contains(&path.as_str())));
        assert_eq!(shipped, Vec::<String>::new(), "every file is in a case");
    }
}
