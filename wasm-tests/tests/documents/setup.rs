//! What `make` says on a machine that lacks something. Such a machine is a `PATH` that leads to few programs.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use wasm_tests::envoy::{target_dir, workspace_dir};

use crate::{document, markdown};

/// What the scripts themselves are made of.
const SHELL: &[&str] = &["awk", "bash", "cat", "cut", "dirname", "grep", "id", "mktemp", "rm", "sed", "sort"];

/// With these programs, and no others but the shell's. They succeed and say nothing, but for those that a test writes.
struct Machine {
    path: PathBuf,
}

impl Machine {
    fn with(name: &str, programs: &[&str]) -> Self {
        let path = target_dir().join("machines").join(name);
        let _absent = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        for program in SHELL {
            let places = ["/usr/bin", "/bin"].map(|place| Path::new(place).join(program));
            let found = places.iter().find(|place| place.exists());
            symlink(found.unwrap_or_else(|| panic!("no {program}")), path.join(program)).unwrap();
        }
        let machine = Self { path };
        programs.iter().for_each(|program| machine.write(program, "exit 0"));
        machine
    }

    fn write(&self, program: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path.join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn needs(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new("/bin/bash");
        command.arg(workspace_dir().join("setup/needs.sh")).args(arguments).env_clear();
        command.env("PATH", &self.path).envs(environment.iter().copied()).output().unwrap()
    }
}

/// What the demo needs is there.
const ENOUGH: &[&str] = &["rustup", "cc", "python3"];

/// Nobody listens there.
const FREE: [(&str, &str); 5] = [
    ("PROXY_PORT", "9"),
    ("AUTHGEAR_PORT", "9"),
    ("RESOLVER_PORT", "9"),
    ("APP_PORT", "9"),
    ("ADMIN_PORT", "9"),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn all_that_is_missing_is_said_at_once_with_the_command_that_installs_it() {
    for mode in ["run", "test"] {
        let output = Machine::with(&format!("bare-{mode}"), &[]).needs(&[mode], &FREE);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{mode}: {said}");
        for part in [
            "install rustup",
            "a C compiler",
            "Python 3 is missing",
            "apt-get install gcc libc6-dev python3 ",
        ] {
            assert!(said.contains(part), "{mode}: no {part} in {said}");
        }
    }
}

#[test]
fn the_demo_needs_nothing_but_rustup_python_and_a_c_compiler() {
    let output = Machine::with("enough", ENOUGH).needs(&["run"], &FREE);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_compiler_without_the_headers_of_the_c_library_is_not_enough() {
    let machine = Machine::with("headers", ENOUGH);
    machine.write("cc", "exit 1");
    let said = text(&machine.needs(&["run"], &FREE).stderr);
    assert!(said.contains("a C compiler, with the C library's headers is missing"), "{said}");
}

#[test]
fn without_rustup_rust_must_be_the_pinned_version_and_know_the_target() {
    let pinned = fs::read_to_string(workspace_dir().join("rust-toolchain.toml")).unwrap();
    let pinned = pinned.split('"').nth(1).unwrap();
    for (version, libraries, refusal) in [
        (pinned, "/", None),
        (pinned, "/nowhere", Some("wasm32-wasip1")),
        ("1.50.0", "/", Some("install rustup")),
    ] {
        let machine = Machine::with("no-rustup", &["cargo", "cc", "python3"]);
        machine.write(
            "rustc",
            &format!("case $1 in --version) echo 'rustc {version} (x)';; *) echo {libraries};; esac"),
        );
        let output = machine.needs(&["run"], &FREE);
        let said = text(&output.stderr);
        assert_eq!(output.status.success(), refusal.is_none(), "{version}, {libraries}: {said}");
        assert!(said.contains(refusal.unwrap_or_default()), "{said}");
    }
}

#[test]
fn suites_that_cannot_run_are_named_and_counted_and_an_error_where_none_may_be_skipped() {
    let machine = Machine::with(
        "suites",
        &[
            "rustup",
            "cc",
            "python3",
            "nginx",
            "taskset",
            "curl",
            "skopeo",
            "chromium",
            "prometheus",
            "promtool",
        ],
    );
    machine.write("pkg-config", "exit 1");
    let output = machine.needs(&["test"], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "auth_o_tron\nbench\nimage\n");
    let line = "3 skipped, for lack of what they need: bench (wrk), image (docker-registry), \
                auth_o_tron (OpenSSL's headers)\n";
    assert!(text(&output.stderr).starts_with(line), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("apt-get install wrk docker-registry libssl-dev"));
    assert_eq!(text(&machine.needs(&["skipped"], &[]).stdout), line);

    for (arguments, environment, succeeds) in [
        (&["test"][..], &[("NO_SKIP", "1")][..], false),
        (&["test", "bench"], &[], false),
        (&["test", "rules"], &[], true),
        (&["run", "auth_o_tron"], &[], false),
    ] {
        let output = machine.needs(arguments, environment);
        assert_eq!(output.status.success(), succeeds, "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn a_taken_port_is_named_before_anything_is_compiled() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variable, _) in FREE {
        let ports = FREE.map(|(name, free)| (name, if name == variable { &*port } else { free }));
        let output = Machine::with(variable, ENOUGH).needs(&["run"], &ports);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(&format!("port {port}, for ")), "{said}");
        assert!(said.contains(&format!("make run {variable}=")), "{said}");
    }
}

/// That they do what is said of them, the suites `demo` and `image` show, and that this runs, `make test`.
#[test]
fn every_make_command_in_the_readme_is_one_that_make_takes() {
    let readme = document("README.md");
    let blocks = readme.blocks(&["sh"]).into_iter().map(|block| block.text);
    let lines: Vec<String> = blocks
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .chain(markdown::code(&readme.text))
        .collect();
    let mut tried = Vec::new();
    for line in &lines {
        let Some(arguments) = line.split('#').next().and_then(|line| line.strip_prefix("make ")) else {
            continue;
        };
        let mut make = Command::new("make");
        make.arg("-n").args(arguments.split_whitespace()).current_dir(workspace_dir());
        // Of the `make` that runs these tests.
        let make = make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").env_remove("MFLAGS");
        let output = make.output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        tried.push(arguments.trim());
    }
    assert!(tried.contains(&"run") && tried.contains(&"test"), "{tried:?}");
}

#[test]
fn the_first_screen_of_the_readme_has_a_picture_two_commands_and_a_configuration() {
    let readme = document("README.md").text;
    let first = readme.lines().take(40).collect::<Vec<_>>().join("\n");
    for part in
        ["docs/overview.svg", "make run ", "make test ", "```yaml\nauthgear:\n  endpoint: ", "upstream: "]
    {
        assert!(first.contains(part), "{part}: {first}");
    }
    let picture = fs::read_to_string(workspace_dir().join("docs/overview.svg")).unwrap();
    assert!(picture.contains("prefers-color-scheme: dark") && picture.contains("<title>"), "{picture}");
}

#[test]
fn the_demo_and_the_step_after_linking_are_built_without_wasmtime() {
    let tree = |package: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "-p",
            package,
        ]);
        let output = cargo.current_dir(workspace_dir()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(tree("wasm-tests").contains("wasmtime"));
    for package in ["servers", "finish"] {
        let tree = tree(package);
        assert!(tree.contains(package) && !tree.contains("wasmtime"), "{package}: {tree}");
    }
}
