//! No modules of one folder use each other in circles. A folder's `mod.rs` and what is below it may: they are one thing.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{Source, sources};

/// The circles that stay.
const ALLOWED: &[(&str, &[&str])] = &[
    // The wrapped exports may deny a request that nothing became of; both ends are unsafe, which stands in one file.
    ("proxy", &["entry", "host", "raw"]),
];

/// Which modules of a folder use which, by the folder.
type Graphs = BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>>;

#[test]
fn modules_of_one_folder_do_not_use_each_other_in_circles() {
    let found = circles(&sources());
    let allowed = ALLOWED.iter().map(|(folder, names)| ((*folder).to_owned(), names.to_vec()));
    let allowed: Vec<_> =
        allowed.map(|(folder, names)| (folder, names.into_iter().map(str::to_owned).collect())).collect();
    assert_eq!(found, allowed);
}

#[test]
fn a_circle_is_found_through_reexports_and_below_a_module_and_none_between_parent_and_child() {
    let source = |path: &str, text: &str| Source::parse(path, text);
    let tree = |b: &str, of_tests: &str| {
        vec![
            source("lib.rs", "mod a;"),
            source("a/mod.rs", "mod b; mod c; pub use self::b::B as Other; use self::c::C;"),
            source("a/b/mod.rs", b),
            source("a/b/d.rs", "use super::super::c::{self, C}; fn d(b: super::B) {}"),
            source("a/c.rs", &format!("pub struct C; #[cfg(test)] mod tests {{ {of_tests} }}")),
        ]
    };
    assert_eq!(circles(&tree("mod d;", "use super::super::Other;")), []);
    for other in [
        "use super::Other;",
        "use crate::a::{Other};",
        "fn c() { super::b::b() }",
        "fn c() { println!(\"{}\", crate::a::b::X); }",
        "mod inner { use super::super::b; }",
    ] {
        let mut tree = tree("mod d;", "");
        tree.pop();
        tree.push(source("a/c.rs", other));
        assert_eq!(circles(&tree), [("a".to_owned(), vec!["b".to_owned(), "c".to_owned()])], "{other}");
    }
}

/// The circles, each by its folder and the modules that take part.
fn circles(sources: &[Source]) -> Vec<(String, Vec<String>)> {
    let mut circles = BTreeSet::new();
    for (folder, graph) in graphs(sources) {
        let reached: BTreeMap<_, _> = graph.keys().map(|name| (name, reached(&graph, name))).collect();
        for (name, below) in &reached {
            let around =
                below.iter().filter(|other| reached.get(*other).is_some_and(|back| back.contains(*name)));
            let around: Vec<String> = around.map(|other| (*other).clone()).collect();
            if !around.is_empty() {
                circles.insert((folder.join("::"), around));
            }
        }
    }
    circles.into_iter().collect()
}

fn reached<'g>(graph: &'g BTreeMap<String, BTreeSet<String>>, from: &String) -> BTreeSet<&'g String> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<_> = graph.get(from).into_iter().flatten().collect();
    while let Some(name) = next.pop() {
        if seen.insert(name) {
            next.extend(graph.get(name).into_iter().flatten());
        }
    }
    seen
}

fn graphs(sources: &[Source]) -> Graphs {
    let modules: BTreeMap<Vec<String>, &Source> =
        sources.iter().map(|source| (source.module(), source)).collect();
    let mut graphs = Graphs::new();
    for (from, source) in &modules {
        for path in source.paths() {
            let to = resolved(&modules, from, &path, 0);
            let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
            if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
                let graph = graphs.entry(to[..shared].to_vec()).or_default();
                graph.entry(one.clone()).or_default().insert(other.clone());
            }
        }
    }
    graphs
}

/// The module that declares what a path in another one stands for.
fn resolved(
    modules: &BTreeMap<Vec<String>, &Source>,
    from: &[String],
    path: &[String],
    depth: usize,
) -> Vec<String> {
    let mut at = from.to_vec();
    for name in path {
        match name.as_str() {
            "crate" => at.clear(),
            "super" => _ = at.pop(),
            "self" => {}
            name => {
                at.push(name.to_owned());
                if modules.contains_key(&at) {
                    continue;
                }
                at.pop();
                let imports = modules.get(&at).map(|source| source.imports()).unwrap_or_default();
                let import = imports.into_iter().find(|(known, _)| known == name);
                return match import {
                    Some((_, path)) if depth < 8 && is_own(&path) => {
                        resolved(modules, &at, &path, depth.saturating_add(1))
                    }
                    Some(_) | None => at,
                };
            }
        }
    }
    at
}

fn is_own(path: &[String]) -> bool {
    path.first().is_some_and(|first| ["crate", "super", "self"].contains(&first.as_str()))
}
