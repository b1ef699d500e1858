//! The files of the filter, parsed, without their tests.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A file of the filter.
pub(crate) struct Source {
    /// Below `src`, with slashes.
    pub(crate) path: String,
    /// As it is written.
    pub(crate) text: String,
    /// Without what only tests are built from.
    pub(crate) file: syn::File,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let mut file = syn::parse_file(text).unwrap();
        without_tests(&mut file.items);
        Self { path: path.to_owned(), text: text.to_owned(), file }
    }

    /// The names of the modules that lead to it; none of `lib.rs`.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.path.strip_suffix(".rs").unwrap();
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
    }

    /// Every path in it that begins with `crate`, `super` or `self`, of a `use`, a type, an expression or a macro.
    pub(crate) fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Paths::default();
        paths.visit_file(&self.file);
        paths.found
    }

    /// The same of its `use` declarations alone, each with the name by which it is known here.
    pub(crate) fn imports(&self) -> Vec<(String, Vec<String>)> {
        let mut imports = Vec::new();
        for item in &self.file.items {
            if let syn::Item::Use(item) = item {
                expand(&item.tree, &mut Vec::new(), &mut imports);
            }
        }
        imports
    }
}

/// All files of the filter.
pub(crate) fn sources() -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let sources: Vec<_> = files
        .iter()
        .filter(|file| file.file_stem().unwrap() != "tests")
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            Source::parse(&path, &fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(sources.len() > 50, "the files were found");
    sources
}

/// Where they are.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

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

fn without_tests(items: &mut Vec<syn::Item>) {
    items.retain(|item| !is_test_only(attributes(item)));
    for item in items {
        if let syn::Item::Mod(syn::ItemMod { content: Some((_, items)), .. }) = item {
            without_tests(items);
        }
    }
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = |condition: syn::Path| condition.is_ident("test");
        attribute.path().is_ident("cfg") && attribute.parse_args().is_ok_and(is_test)
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Adds what a `use` declares: the name, and the path that it stands for.
fn expand(tree: &syn::UseTree, before: &mut Vec<String>, all: &mut Vec<(String, Vec<String>)>) {
    match tree {
        syn::UseTree::Path(path) => {
            before.push(path.ident.to_string());
            expand(&path.tree, before, all);
            before.pop();
        }
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| expand(tree, before, all)),
        syn::UseTree::Name(name) if name.ident == "self" => {
            all.push((before.last().unwrap().clone(), before.clone()));
        }
        syn::UseTree::Name(name) => all.push((name.ident.to_string(), under(before, &name.ident))),
        syn::UseTree::Rename(name) => all.push((name.rename.to_string(), under(before, &name.ident))),
        syn::UseTree::Glob(_) => all.push(("*".to_owned(), before.clone())),
    }
}

fn under(before: &[String], name: &syn::Ident) -> Vec<String> {
    before.iter().cloned().chain([name.to_string()]).collect()
}

#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
    /// How many modules deep inside the file.
    depth: usize,
}

impl Paths {
    fn add(&mut self, path: Vec<String>) {
        let is_own = |first: &String| ["crate", "super", "self"].contains(&first.as_str());
        if path.len() < 2 || !path.first().is_some_and(is_own) {
            return;
        }
        let supers = path.iter().take_while(|name| *name == "super").count();
        match supers.min(self.depth) {
            0 => self.found.push(path),
            inside if inside == supers => {}
            inside => self.found.push(path.into_iter().skip(inside).collect()),
        }
    }

    /// Paths in the arguments of a macro, which nothing parses.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 => path.push(name.to_string()),
                TokenTree::Ident(name) => {
                    self.add(std::mem::take(&mut path));
                    path = vec![name.to_string()];
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons = i32::saturating_add(colons, 1);
                    continue;
                }
                TokenTree::Group(group) => {
                    self.add(std::mem::take(&mut path));
                    self.add_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.add(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.add(path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut imports = Vec::new();
        expand(&item.tree, &mut Vec::new(), &mut imports);
        imports.into_iter().for_each(|(_, path)| self.add(path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.add_tokens(mac.tokens.clone());
        visit::visit_macro(self, mac);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.depth = self.depth.saturating_add(1);
        visit::visit_item_mod(self, item);
        self.depth = self.depth.saturating_sub(1);
    }
}
