//! The models of programs, beside the programs themselves: what a program's handler sees is among what its model says.
//! Long, and needs the programs: `make fuzz` runs it. A program that is not here is skipped, and named.

#[cfg(test)]
mod programs {
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use authgear_filter::rules::readings::Readings;
    use fuzz::input::{Input, Random};
    use fuzz::paths::odd_path;
    use fuzz::programs::PROGRAMS;
    use serde_json::{Value, json};

    type Paths = Vec<Vec<u8>>;

    fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
    }

    /// Paths, odd in any way, that an HTTP server reads as such.
    fn corpus() -> Paths {
        let mut random = Random::new(1);
        let count = std::env::var("FUZZ_PATHS").ok().and_then(|count| count.parse().ok()).unwrap_or(3_000);
        let mut paths: Paths = Vec::new();
        while paths.len() < count {
            let path = odd_path(&mut Input::new(&random.bytes(60)));
            // What is unclear to the filter must meet every rule, whatever programs make of it.
            if path.iter().all(u8::is_ascii_graphic) && Readings::of(&path) != Readings::Unclear {
                paths.push(path);
            }
        }
        paths.sort();
        paths.dedup();
        paths
    }

    /// A path in which what no URL can hold as it is stands as its escape, which some programs write. To a rule the two
    /// are one.
    fn canonical(path: &[u8]) -> Vec<u8> {
        let stands = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%?#[]".contains(&byte);
        let mut out = String::new();
        for (at, &byte) in path.iter().enumerate() {
            let is_digit_of_escape = (1..=2).any(|back| at >= back && path[at - back] == b'%');
            match byte {
                _ if !stands(byte) => out += &format!("%{byte:02X}"),
                _ if is_digit_of_escape => out.push(char::from(byte.to_ascii_uppercase())),
                _ => out.push(char::from(byte)),
            }
        }
        out.into_bytes()
    }

    /// What is seen is known to the model.
    fn compare(name: &str, paths: &Paths, seen: &[Paths]) {
        let program = PROGRAMS.iter().find(|program| program.name == name).expect("a model");
        assert_eq!(paths.len(), seen.len(), "{name}");
        let (mut accepted, mut unlike) = (0, 0);
        let mut wrong = Vec::new();
        for (path, seen) in paths.iter().zip(seen) {
            let model: Paths = (program.reads)(path).iter().map(|path| canonical(path)).collect();
            accepted += usize::from(!seen.is_empty());
            unlike += usize::from(seen.iter().any(|seen| seen != path));
            for seen in seen.iter().filter(|seen| !model.contains(&canonical(seen))) {
                wrong.push(format!("{} is {}", path.escape_ascii(), seen.escape_ascii()));
            }
        }
        println!(
            "{name}: {} paths, {accepted} taken, {unlike} of them read otherwise than written",
            paths.len()
        );
        assert!(
            wrong.is_empty(),
            "{name}: {} unknown to the model: {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(20)]
        );
        assert!(accepted > paths.len() / 4 && unlike > paths.len() / 4, "{name} was hardly asked");
    }

    fn missing(name: &str) {
        eprintln!("SKIPPED: {name} is not here, and its model is not compared with it");
    }

    /// A program that reads a path of each line in hex, and writes what it makes of it.
    fn ask(name: &str, command: &mut Command) {
        let paths = corpus();
        let input: String = paths.iter().map(|path| hex(path) + "\n").collect();
        let mut child =
            match command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn() {
                Ok(child) => child,
                Err(_) => return missing(name),
            };
        let mut stdin = child.stdin.take().expect("piped");
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(input.as_bytes());
        });
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("written");
        if !output.status.success() {
            return missing(name);
        }
        let output = String::from_utf8(output.stdout).expect("hex");
        let seen: Vec<Paths> =
            output.lines().map(|line| line.split_whitespace().map(unhex).collect()).collect();
        let models: &[&str] = if name == "Node" { &["Node's URL", "Node's path"] } else { &[name] };
        match models {
            [one] => compare(one, &paths, &seen),
            several => {
                // Each thing that is seen is of one of them.
                for model in several {
                    let program = PROGRAMS.iter().find(|program| program.name == *model).expect("a model");
                    println!("{model}: {}", program.source);
                }
                for (path, seen) in paths.iter().zip(&seen) {
                    let models: Paths = several
                        .iter()
                        .flat_map(|name| PROGRAMS.iter().find(|program| program.name == *name))
                        .flat_map(|program| (program.reads)(path))
                        .map(|path| canonical(&path))
                        .collect();
                    for seen in seen {
                        assert!(
                            models.contains(&canonical(seen)),
                            "{} is {}",
                            path.escape_ascii(),
                            seen.escape_ascii()
                        );
                    }
                }
                println!("{name}: {} paths", paths.len());
            }
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).expect("hex");
        digits.chunks(2).map(byte).collect()
    }

    fn in_tools(program: &str) -> PathBuf {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin").join(program);
        if ours.exists() { ours } else { PathBuf::from(program) }
    }

    #[test]
    #[ignore = "long, and needs the program: make fuzz"]
    fn node_reads_paths_as_its_models_do() {
        ask("Node", Command::new(in_tools("node")).arg(directory().join("node.mjs")));
    }

    #[test]
    #[ignore = "long, and needs the program: make fuzz"]
    fn werkzeug_reads_paths_as_its_model_does() {
        ask("Werkzeug", Command::new("python3").arg(directory().join("werkzeug_reads.py")));
    }

    #[test]
    #[ignore = "long, and needs the program: make fuzz"]
    fn go_reads_paths_as_its_model_does() {
        ask("Go net/http", Command::new("go").arg("run").arg(directory().join("main.go")));
    }

    /// Ends with its test.
    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Ports that are free now.
    fn ports(count: usize) -> Vec<u16> {
        let listeners: Vec<_> =
            (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")).collect();
        listeners.iter().map(|listener| listener.local_addr().expect("an address").port()).collect()
    }

    fn is_up(port: u16) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// The whole answer to a request for a path.
    fn answer(port: u16, path: &[u8]) -> Vec<u8> {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
        connection.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let request =
            [b"GET ".as_slice(), path, b" HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"].concat();
        connection.write_all(&request).expect("it is sent");
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        answer
    }

    fn is_ok(answer: &[u8]) -> bool {
        answer.starts_with(b"HTTP/1.1 200")
    }

    fn split(answer: &[u8]) -> (&[u8], &[u8]) {
        let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
        (&answer[..at], answer.get(at + 4..).unwrap_or_default())
    }

    #[test]
    #[ignore = "long, and needs the program: make fuzz"]
    fn nginx_reads_paths_as_its_model_does() {
        let ports = ports(2);
        let prefix = std::env::temp_dir().join(format!("fuzz-nginx-{}", std::process::id()));
        fs::create_dir_all(&prefix).expect("a directory");
        let mut config = fs::read_to_string(directory().join("nginx.conf")).expect("the configuration");
        config = config.replace("PREFIX", prefix.to_str().expect("text"));
        for (at, port) in ports.iter().enumerate() {
            config = config.replace(&format!("PORT{at}"), &port.to_string());
        }
        let file = prefix.join("nginx.conf");
        fs::write(&file, config).expect("written");
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let started =
            Command::new("nginx").env("PATH", path).arg("-c").arg(&file).arg("-p").arg(&prefix).spawn();
        let Ok(child) = started else { return missing("nginx") };
        let _server = Server(child);
        assert!(ports.iter().all(|port| is_up(*port)), "nginx does not start");
        let paths = corpus();
        let seen: Vec<Paths> = paths
            .iter()
            .map(|path| {
                let answers = ports.iter().map(|port| answer(*port, path));
                answers.filter(|answer| is_ok(answer)).map(|answer| split(&answer).1.to_vec()).collect()
            })
            .collect();
        compare("nginx", &paths, &seen);
        let _ = fs::remove_dir_all(prefix);
    }

    #[test]
    #[ignore = "long, and needs the program: make fuzz"]
    fn envoy_reads_paths_as_its_model_does() {
        let actions = ["KEEP_UNCHANGED", "UNESCAPE_AND_FORWARD", "UNESCAPE_AND_REDIRECT", "REJECT_REQUEST"];
        let variants: Vec<(&str, bool, bool)> = actions
            .into_iter()
            .flat_map(|action| [(true, true), (true, false), (false, true)].map(|(n, m)| (action, n, m)))
            .collect();
        let ports = ports(variants.len());
        let listeners: Vec<Value> = variants
            .iter()
            .zip(&ports)
            .map(|((action, normalize, merge), port)| listener(action, *normalize, *merge, *port))
            .collect();
        let config = json!({ "static_resources": {"listeners": listeners} });
        let program = std::env::var_os("ENVOY")
            .filter(|envoy| !envoy.is_empty())
            .map_or_else(|| in_tools("envoy"), PathBuf::from);
        let started = Command::new(program)
            .args([
                "--config-yaml",
                &config.to_string(),
                "--use-dynamic-base-id",
                "--log-level",
                "critical",
                "--concurrency",
                "1",
            ])
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else { return missing("Envoy") };
        let _server = Server(child);
        assert!(ports.iter().all(|port| is_up(*port)), "Envoy does not start");
        let paths = corpus();
        let seen: Vec<Paths> = paths
            .iter()
            .map(|path| {
                let answers = ports.iter().map(|port| answer(*port, path));
                answers
                    .filter(|answer| is_ok(answer))
                    .filter_map(|answer| header(split(&answer).0, "x-path"))
                    .collect()
            })
            .collect();
        compare("Envoy", &paths, &seen);
    }

    fn header(head: &[u8], name: &str) -> Option<Vec<u8>> {
        let start = format!("{name}: ");
        let lines = head.split(|&byte| byte == b'\n');
        lines
            .filter_map(|line| line.strip_prefix(start.as_bytes()))
            .map(|value| value.trim_ascii_end().to_vec())
            .next()
    }

    /// Answers each request with the path as routes see it.
    fn listener(action: &str, normalize: bool, merge: bool, port: u16) -> Value {
        json!({
            "name": format!("p{port}"),
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "p",
                // Else a connection that is to be closed stays open for a second.
                "delayed_close_timeout": "0s",
                "normalize_path": normalize,
                "merge_slashes": merge,
                "path_with_escaped_slashes_action": action,
                "http_filters": [{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{
                    "match": {"prefix": "/"},
                    "direct_response": {"status": 200},
                    "response_headers_to_add": [{"header": {"key": "x-path", "value": "%REQ(:PATH)%"}}],
                }]}]},
            }}]}],
        })
    }
}
