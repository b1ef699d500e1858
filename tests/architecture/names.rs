//! No name stands for two types: a reader who finds one in a file knows which is meant.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenTree;

use crate::sources::{Source, sources};

#[test]
fn no_name_stands_for_two_types() {
    let sources = sources();
    let mut declared: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for source in &sources {
        for name in types(&source.file.items) {
            declared.entry(name).or_default().insert(&source.path);
        }
    }
    let known = ["Config", "Step", "UrlField", "Weigh", "ProjectStep"];
    assert!(known.iter().all(|name| declared.contains_key(*name)), "the types were found");
    declared.retain(|_, paths| paths.len() > 1);
    assert!(declared.is_empty(), "{declared:#?}");
}

#[test]
fn the_types_of_a_file_are_found_without_those_of_its_tests() {
    let code = "pub struct A; enum B {} trait C { type Value; } type D = u8; mod e { pub(crate) struct F; }
        texts! { /// Doc.
            G: Vec<A> | Err, \"text: a\", parse; pub H: u8 | Err, \"b\", |x| { let y: u8 = x; y }; }
        #[cfg(test)] mod tests { struct No; }
        #[cfg(test)] struct NoneEither; fn f() { struct Local; }";
    let source = Source::parse("a.rs", code);
    assert_eq!(types(&source.file.items), ["A", "B", "C", "D", "F", "G", "H"]);
}

/// The types that items declare, and those that `texts!` does.
fn types(items: &[syn::Item]) -> Vec<String> {
    let mut names = Vec::new();
    for item in items {
        match item {
            syn::Item::Enum(item) => names.push(item.ident.to_string()),
            syn::Item::Struct(item) => names.push(item.ident.to_string()),
            syn::Item::Trait(item) => names.push(item.ident.to_string()),
            syn::Item::Type(item) => names.push(item.ident.to_string()),
            syn::Item::Mod(syn::ItemMod { content: Some((_, items)), .. }) => names.extend(types(items)),
            syn::Item::Macro(item) if item.mac.path.is_ident("texts") => {
                let mut is_first = true;
                for token in item.mac.tokens.clone() {
                    match token {
                        TokenTree::Ident(name) if is_first && name != "pub" => {
                            names.push(name.to_string());
                            is_first = false;
                        }
                        TokenTree::Punct(punct) if punct.as_char() == ';' => is_first = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    names
}
