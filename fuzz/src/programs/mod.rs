//! How real programs turn the path of a request into what their routes and handlers see. Models, small enough to be read
//! beside the source that they are of; `tests/programs.rs` asks the programs themselves, where they are at hand.
//!
//! A model errs on the side of more readings: where a version or an option makes a difference, both are listed.

mod parts;

use parts::*;

/// A program.
pub struct Program {
    /// What it is called.
    pub name: &'static str,
    /// What the model follows.
    pub source: &'static str,
    /// All paths that its routes or its handlers may see for a request's path without its query; none where it refuses
    /// the request.
    pub reads: fn(&[u8]) -> Vec<Vec<u8>>,
}

/// All programs.
pub const PROGRAMS: [Program; 12] = [
    Program {
        name: "nginx",
        source: "ngx_http_parse_complex_uri in src/http/ngx_http_parse.c, merge_slashes on and off",
        reads: nginx,
    },
    Program {
        name: "Envoy",
        source: "PathUtil in source/common/http/path_utility.cc: normalize_path (as Chromium's URLs), merge_slashes, path_with_escaped_slashes_action: each value",
        reads: envoy,
    },
    Program {
        name: "Node's URL",
        source: "url.spec.whatwg.org, path state; pathname, and decodeURIComponent of it",
        reads: node_url,
    },
    Program {
        name: "Node's path",
        source: "what a static server does: path.posix.normalize of the decoded path (lib/path.js)",
        reads: node_path,
    },
    Program {
        name: "Go net/http",
        source: "url.ParseRequestURI, ServeMux.findHandler and cleanPath (net/http/server.go), routing_tree.go, path.Clean of file servers",
        reads: go,
    },
    Program {
        name: "Tomcat",
        source: "CoyoteAdapter.postParseRequest: parsePathParameters, UDecoder, normalize; encodedSolidusHandling and allowBackslash: each value",
        reads: tomcat,
    },
    Program {
        name: "Spring, Jetty 9",
        source: "UrlPathHelper: decode, then drop ;parameters and merge slashes (removeSemicolonContent, getSanitizedPath)",
        reads: spring,
    },
    Program {
        name: "Werkzeug",
        source: "http.server of Python 3.11, WSGIRequestHandler.make_environ in serving.py (unquote), Map(merge_slashes) in routing/map.py",
        reads: werkzeug,
    },
    Program {
        name: "Rack",
        source: "Puma's PATH_INFO, Rack::Protection::PathTraversal#cleanup, Sinatra's route!, Rack::Utils.clean_path_info of Rack::Files",
        reads: rack,
    },
    Program {
        name: "ASP.NET Core",
        source: "Kestrel: PathDecoder.DecodePath and PathNormalizer.RemoveDotSegments; routes ignore a slash at the end",
        reads: kestrel,
    },
    Program {
        name: "IIS",
        source: "http.sys: the cooked URL (escapes decoded once, backslashes to slashes, slashes merged, dot segments resolved)",
        reads: iis,
    },
    Program {
        name: "Apache httpd",
        source: "ap_normalize_path and ap_unescape_url_ex in server/util.c: MergeSlashes, AllowEncodedSlashes: each value",
        reads: apache,
    },
];

fn nginx(path: &[u8]) -> Vec<Vec<u8>> {
    let Some(decoded) = decode(path, |_| true).filter(|path| !path.contains(&0)) else { return vec![] };
    // A decoded `?`, `#` or `%` is a character like others; a decoded slash or dot is one that was there.
    [merge(&decoded), decoded].iter().filter_map(|path| resolve(path)).collect()
}

fn envoy(path: &[u8]) -> Vec<Vec<u8>> {
    let unescaped = replace_escapes(path, b"/\\");
    let mut all = Vec::new();
    for start in [path.to_vec(), unescaped] {
        for path in [merge(&start), start] {
            let plain = decode_some(&path, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
            // A dot segment may have parameters.
            let normal = whatwg_path(&dots_without_parameters(&plain));
            // Of slashes alone two are left.
            let is_slashes = normal.len() > 1 && normal.iter().all(|&byte| byte == b'/');
            let fewer = is_slashes.then(|| b"//".to_vec());
            all.extend(fewer);
            all.extend([whatwg_path(&path), whatwg_path(&plain), merge(&normal), normal, path]);
        }
    }
    all
}

fn node_url(path: &[u8]) -> Vec<Vec<u8>> {
    let slashed: Vec<u8> = path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect();
    // Relative to an origin: two slashes begin an authority, and more are skipped.
    let rest = match slashed.strip_prefix(b"//") {
        Some(rest) => {
            let start = rest.iter().position(|&byte| byte != b'/').unwrap_or(rest.len());
            let rest = &rest[start..];
            let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            if rest[end..].is_empty() { b"/".to_vec() } else { rest[end..].to_vec() }
        }
        None => slashed,
    };
    let pathname = whatwg_path(&rest);
    let decoded = decode(&pathname, |_| true).filter(|path| std::str::from_utf8(path).is_ok());
    [pathname].into_iter().chain(decoded).collect()
}

fn node_path(path: &[u8]) -> Vec<Vec<u8>> {
    let decoded = decode(path, |_| true).filter(|path| std::str::from_utf8(path).is_ok());
    let all = [path.to_vec()].into_iter().chain(decoded);
    all.flat_map(|path| {
        let normal = resolve_leniently(&merge(&path));
        [without_final_slash(&normal), normal]
    })
    .collect()
}

fn go(path: &[u8]) -> Vec<Vec<u8>> {
    let Some(decoded) = decode(path, |_| true) else { return vec![] };
    let clean = resolve_leniently(&merge(&decoded));
    // Since Go 1.22 ServeMux cleans the escaped path, and decodes the segments one by one. Where it redirects to the
    // cleaned path, that is escaped once more, so that the handler gets the escapes.
    let cleaned_escaped = resolve_leniently(&merge(path));
    let segments = decode(&cleaned_escaped, |_| true).unwrap_or_default();
    // Where a character cannot stand as it is, all are escaped anew.
    let stands = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~$&+,/:;=@".contains(byte);
    let escaped: String = decoded
        .iter()
        .map(|byte| if stands(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let anew = resolve_leniently(&merge(escaped.as_bytes()));
    vec![
        without_final_slash(&anew),
        anew,
        decoded,
        without_final_slash(&clean),
        clean,
        segments,
        without_final_slash(&cleaned_escaped),
        cleaned_escaped,
    ]
}

fn tomcat(path: &[u8]) -> Vec<Vec<u8>> {
    let plain = without_parameters(path);
    let decoded = [decode(&plain, |_| true), decode(&plain, |byte| byte != b'/')];
    let mut all = Vec::new();
    for decoded in decoded.into_iter().flatten().filter(|path| !path.contains(&0)) {
        let slashed: Vec<u8> = decoded.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect();
        all.extend([slashed, decoded].iter().filter_map(|path| resolve(&merge(path))));
    }
    all
}

fn spring(path: &[u8]) -> Vec<Vec<u8>> {
    let Some(decoded) = decode(path, |_| true) else { return vec![] };
    let plain = without_parameters(&decoded);
    let before = decode(&without_parameters(path), |_| true).unwrap_or_default();
    [plain, before]
        .into_iter()
        .flat_map(|path| [resolve_leniently(&merge(&path)), merge(&path), path])
        .collect()
}

fn werkzeug(path: &[u8]) -> Vec<Vec<u8>> {
    // http.server merges the slashes at the beginning.
    let start = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
    let path = [b"/", &path[start..]].concat();
    // unquote leaves what is no escape.
    let info = decode_leniently(&path);
    vec![merge(&info), without_final_slash(&merge(&info)), info]
}

fn rack(path: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    // Rack::Protection, then Sinatra's routes, which ignore a slash at the end and match escapes.
    let unescaped: Vec<u8> = replace_escapes(&replace_escapes(&replace_escapes(path, b"."), b"/"), b"\\")
        .iter()
        .map(|&byte| if byte == b'\\' { b'/' } else { byte })
        .collect();
    let cleaned = rack_clean(&unescaped, true);
    for info in [path.to_vec(), cleaned] {
        all.extend([decode_leniently(&info), without_final_slash(&decode_leniently(&info)), info]);
    }
    // Rack::Files and Rack::Static.
    all.push(rack_clean(&decode_leniently(path), false));
    all
}

fn kestrel(path: &[u8]) -> Vec<Vec<u8>> {
    // Escapes that make no UTF-8 stay; a slash's stays.
    let decoded = decode_leniently_but(path, b'/');
    if decoded.contains(&0) {
        return vec![];
    }
    let resolved = resolve_leniently(&decoded);
    vec![without_final_slash(&resolved), resolved]
}

fn iis(path: &[u8]) -> Vec<Vec<u8>> {
    let Some(decoded) = decode(path, |_| true) else { return vec![] };
    let slashed: Vec<u8> = decoded.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect();
    [merge(&slashed), slashed]
        .iter()
        .map(|path| resolve_leniently(path))
        .flat_map(|path| [without_final_slash(&path), path])
        .collect()
}

fn apache(path: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for keeps in [Some(b'/'), None] {
        let Some(decoded) = decode(path, |byte| Some(byte) != keeps) else { continue };
        if decoded.contains(&0) {
            continue;
        }
        // The path is made normal before it is decoded, and what is unreserved is decoded for that.
        let unreserved = decode_some(path, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        for normal in [resolve(&unreserved), resolve(&merge(&unreserved))].into_iter().flatten() {
            all.extend(decode(&normal, |byte| Some(byte) != keeps));
        }
        all.extend([resolve(&decoded), resolve(&merge(&decoded))].into_iter().flatten());
    }
    all
}
