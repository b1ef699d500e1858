//! The shape of the crate: which folder may use which, and what no file may hold. The map is in `src/lib.rs`.
//!
//! Everything is a test module, so that helpers too may unwrap.

#[cfg(test)]
mod architecture {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The folders from the edge down, and below each what it may use. Nothing uses what stands above it, so that
    /// there is no cycle; `rules`, `jose`, `cache` and `telemetry` know nothing of each other.
    const MAY_USE: &[(&str, &[&str])] = &[
        ("proxy", &["engine", "config", "auth_server", "rules", "jose", "cache", "telemetry", "http"]),
        ("engine", &["config", "auth_server", "rules", "jose", "cache", "telemetry", "http"]),
        ("config", &["auth_server", "rules", "jose", "http", "protobuf"]),
        ("auth_server", &["rules", "jose", "cache", "http"]),
        ("rules", &["http"]),
        ("jose", &["http", "protobuf"]),
        ("cache", &["http"]),
        ("telemetry", &["http"]),
        ("http", &[]),
        ("protobuf", &[]),
    ];

    /// The one file that touches the proxy's memory.
    const UNSAFE: &str = "proxy/raw.rs";

    /// A file of the filter, without its tests and comments.
    struct Source {
        /// Below `src`, with slashes.
        path: String,
        code: String,
    }

    impl Source {
        /// The folder at the top that it belongs to; none of `lib.rs`.
        fn folder(&self) -> Option<&str> {
            let top = self.path.split('/').next()?;
            let name = top.strip_suffix(".rs").unwrap_or(top);
            (name != "lib").then_some(name)
        }
    }

    fn sources() -> Vec<Source> {
        fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    collect(&path, files);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    files.push(path);
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        files.sort();
        let sources: Vec<_> = files
            .iter()
            .filter(|file| !is_test_only(file))
            .map(|file| Source {
                path: file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"),
                code: code(&fs::read_to_string(file).unwrap()),
            })
            .collect();
        assert!(sources.len() > 50, "the files were found");
        sources
    }

    /// Files that only tests are built from: each says so where it is declared.
    fn is_test_only(file: &Path) -> bool {
        matches!(file.file_stem().unwrap().to_str().unwrap(), "tests")
    }

    /// What is left of a file without comments, and without the tests at its end.
    fn code(text: &str) -> String {
        let lines = text.lines();
        let mut code = Vec::new();
        for line in lines {
            if line.starts_with("mod tests {") {
                break;
            }
            if !line.trim_start().starts_with("//") {
                code.push(line);
            }
        }
        code.join("\n")
    }

    fn used(code: &str) -> BTreeSet<&str> {
        let names = code.split("crate::").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            rest.get(..end).filter(|name| !name.is_empty())
        });
        names.collect()
    }

    #[test]
    fn arrows_between_folders_go_one_way() {
        let mut wrong = Vec::new();
        for source in sources() {
            let Some(folder) = source.folder() else { continue };
            let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == folder) else {
                wrong.push(format!("{}: src/{folder} is not on the map", source.path));
                continue;
            };
            let used = used(&source.code);
            let forbidden = used.iter().filter(|name| **name != folder && !allowed.contains(name));
            wrong.extend(forbidden.map(|name| format!("{} uses {name}", source.path)));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn the_map_itself_has_no_cycle() {
        for (at, (folder, allowed)) in MAY_USE.iter().enumerate() {
            let below: Vec<_> = MAY_USE.iter().skip(at + 1).map(|(name, _)| *name).collect();
            assert!(allowed.iter().all(|name| below.contains(name)), "{folder} uses what stands above it");
        }
    }

    #[test]
    fn unsafe_code_stands_in_one_file() {
        let found: Vec<_> = sources()
            .into_iter()
            .filter(|source| source.code.contains("unsafe ") && source.path != UNSAFE)
            .map(|source| source.path)
            .collect();
        assert!(found.is_empty(), "{found:?}");
    }

    /// The types of errors in every `Result` of two types.
    fn errors(code: &str) -> Vec<&str> {
        let written = code.split("Result<").skip(1).filter_map(|rest| {
            let (mut open, mut start, mut types) = (vec!['<'], 0, Vec::new());
            for (at, c) in rest.char_indices() {
                match c {
                    '<' | '(' | '[' => open.push(c),
                    '>' if rest.get(..at).is_some_and(|before| before.ends_with('-')) => {} // Of an arrow.
                    '>' | ')' | ']' => _ = open.pop(),
                    _ => {}
                }
                if open.is_empty() || open.len() == 1 && c == ',' {
                    types.extend(rest.get(start..at).map(str::trim).filter(|name| !name.is_empty()));
                    start = at.saturating_add(1);
                }
                if open.is_empty() {
                    break;
                }
            }
            types.get(1).copied()
        });
        written.collect()
    }

    /// The types that are a text and no more.
    fn texts(code: &str) -> Vec<&str> {
        let lines = code.lines().filter_map(|line| line.split_once("struct ")?.1.split_once('('));
        let texts = lines.filter(|(_, held)| {
            let held = held.trim_start_matches("pub ").trim_start_matches("pub(super) ");
            ["String)", "&'static str)", "Box<str>)", "Cow<'static, str>)"]
                .iter()
                .any(|text| held.starts_with(text))
        });
        texts.map(|(name, _)| name).collect()
    }

    /// Whether a type is an error: by its derived trait, or by its own.
    fn is_error(code: &str, name: &str) -> bool {
        let declared = code.split(&format!("struct {name}(")).next().unwrap_or_default();
        let above = declared.rsplit("\n\n").next().unwrap_or_default();
        above.contains("Error)]") || code.contains(&format!("Error for {name}"))
    }

    #[test]
    fn an_error_is_a_type_and_never_a_string() {
        const TEXTS: [&str; 5] = ["String", "&'static str", "&str", "Box<str>", "Box<dyn std::error::Error>"];
        let mut wrong = Vec::new();
        for Source { path, code } in &sources() {
            let strings = errors(code).into_iter().filter(|error| TEXTS.contains(error));
            wrong.extend(strings.map(|error| format!("{path}: Result<_, {error}>")));
            let newtypes = texts(code).into_iter().filter(|name| is_error(code, name));
            wrong.extend(newtypes.map(|name| format!("{path}: the error {name} is a text")));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn the_check_of_errors_finds_what_it_looks_for() {
        let code = "fn a() -> Result<Vec<(u8, u8)>, &'static str>;\nlet b: Result<_, String> = x;\n\
                    fn c(f: impl Fn() -> Result<fn() -> u8, &str>) -> Result<(), Error> {\n\
                    fn d() -> std::result::Result<\n    Cow<'_, str>,\n    String,\n> {\n\
                    fn e() -> serde_json::Result<String> {";
        assert_eq!(errors(code), ["&'static str", "String", "&str", "Error", "String"]);
        for error in [
            "/// A.\n#[derive(Debug, thiserror::Error)]\n#[error(\"{0}\")]\npub struct Bad(String);",
            "#[derive(Debug)]\npub(super) struct Bad(pub String);\n\nimpl std::error::Error for Bad {}",
            "pub struct Bad(&'static str);\n\nimpl Error for Bad {}",
        ] {
            assert_eq!(texts(error), ["Bad"]);
            assert!(is_error(error, "Bad"), "{error}");
        }
        let other = "#[derive(Debug, thiserror::Error)]\npub enum Good {}\n\n#[derive(Debug)]\npub struct Text(String);";
        assert!(!is_error(other, "Text"));
    }

    /// The types that a file declares at its top level, and in its `texts!`.
    fn types(code: &str) -> Vec<&str> {
        let mut names = Vec::new();
        let mut is_in_texts = false;
        for line in code.lines() {
            is_in_texts = line == "texts! {" || is_in_texts && line != "}";
            let declared = match line.strip_prefix("    ").filter(|_| is_in_texts) {
                Some(text) => text.split_once(": ").map(|(name, _)| name),
                None => {
                    let mut words = line.split(' ').skip_while(|word| word.starts_with("pub"));
                    let keyword =
                        words.next().filter(|word| ["struct", "enum", "trait", "type"].contains(word));
                    keyword.and_then(|_| words.next())
                }
            };
            names.extend(declared.and_then(|name| name.split(|c: char| !c.is_alphanumeric()).next()));
        }
        names
    }

    #[test]
    fn no_name_stands_for_two_types() {
        let sources = sources();
        let mut declared: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for source in &sources {
            for name in types(&source.code) {
                declared.entry(name).or_default().insert(&source.path);
            }
        }
        assert!(
            ["Config", "Step", "UrlField", "Weigh", "ProjectStep"]
                .iter()
                .all(|name| declared.contains_key(name))
        );
        declared.retain(|_, paths| paths.len() > 1);
        assert!(declared.is_empty(), "{declared:#?}");
    }

    #[test]
    fn every_file_can_be_read_in_one_sitting() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let lines = |path: &str| fs::read_to_string(root.join(path)).unwrap().lines().count();
        let long: Vec<_> =
            sources().into_iter().map(|source| source.path).filter(|path| lines(path) > 500).collect();
        assert!(long.is_empty(), "{long:?}");
    }

    #[test]
    fn every_folder_is_told_by_its_mod_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let below = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            folders.extend(below.filter(|path| path.is_dir()));
            assert!(folder == root || folder.join("mod.rs").is_file(), "{}", folder.display());
        }
    }
}
