//! The documents against the program: what `docs/cli.md` says that one types, and every configuration of every document.

#[cfg(test)]
mod support;

#[cfg(test)]
mod documents {
    use std::fs;

    use snapbox::cmd::{Command, cargo_bin};

    use crate::support::{blocks, documents, root};

    fn without_numbers(text: &str) -> String {
        let text: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        text.split_whitespace()
            .map(|word| word.replace("00", "0"))
            .collect::<Vec<_>>()
            .join(" ")
            .replace("00", "0")
    }

    #[test]
    fn what_one_types_prints_what_the_document_shows() {
        let path = root().join("docs/cli.md");
        let mut document = fs::read_to_string(&path).unwrap();
        let shown = blocks(&document);
        let is_new = std::env::var("SNAPSHOTS").is_ok_and(|what| what == "overwrite");
        let mut count = 0;
        for (command, output) in shown.iter().zip(shown.iter().skip(1)) {
            if (command.0.as_str(), output.0.as_str()) != ("sh", "text") {
                continue;
            }
            let line = command.2.trim_end().strip_prefix("authgear-filter ").unwrap();
            // What is typed has no quotes but around whole words.
            let words = line.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            });
            let done = Command::new(cargo_bin!("authgear-filter")).current_dir(root()).args(words).assert();
            let printed = String::from_utf8(done.get_output().stdout.clone()).unwrap();
            if is_new {
                document = document.replace(&output.2, &printed);
            } else {
                // Files that are shown may get longer.
                assert_eq!(without_numbers(&printed), without_numbers(&output.2), "{}", command.2);
            }
            count += 1;
        }
        if is_new {
            fs::write(&path, document).unwrap();
        }
        assert!(count > 1, "the commands were found");
    }

    #[test]
    fn every_configuration_of_every_document_has_no_error() {
        let mut count = 0;
        for document in documents() {
            let name = document.file_name().unwrap().to_str().unwrap().to_owned();
            for (language, line, text) in blocks(&fs::read_to_string(&document).unwrap()) {
                let is_whole =
                    text.lines().map(|line| line.trim_start_matches([' ', '{', '-', '"'])).any(|line| {
                        let name = line.split(['"', ':']).next().unwrap_or_default();
                        ["authgear", "forward_auth", "jwt"].contains(&name)
                    });
                if !["yaml", "json"].contains(&language.as_str()) || !is_whole {
                    continue;
                }
                let done = Command::new(cargo_bin!("authgear-filter"))
                    .args(["check", "--json", "-"])
                    .stdin(text.as_str())
                    .assert();
                let json: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
                let findings = json["findings"].as_array().unwrap();
                let found: Vec<_> = findings
                    .iter()
                    .filter(|finding| finding["severity"] == "error" && finding["name"] != "nothing-found")
                    .map(|finding| format!("{}: {}", finding["name"], finding["message"]))
                    .collect();
                assert!(found.is_empty(), "{name}:{line}: {found:?}\n{text}");
                count += json["configurations"].as_array().unwrap().len();
            }
        }
        assert!(count > 30, "{count} configurations were found");
    }
}
