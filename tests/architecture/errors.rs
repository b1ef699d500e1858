//! An error is a type with a variant for each cause, never a text.

use syn::visit::{self, Visit};

use crate::sources::{Source, sources};

#[test]
fn an_error_is_a_type_and_never_a_string() {
    let wrong: Vec<_> = sources().iter().flat_map(wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_text_that_stands_for_an_error_is_found() {
    for code in [
        "fn a() -> Result<Vec<(u8, u8)>, &'static str> { x }",
        "fn a() { let b: Result<_, String> = x; }",
        "fn c(f: impl Fn() -> Result<fn() -> u8, &str>) {}",
        "fn d() -> std::result::Result<\n    u8,\n    Box<str>,\n> { x }",
        "fn d() -> Result<u8, Cow<'static, str>> { x }",
        "fn d() -> Result<u8, Box<dyn std::error::Error>> { x }",
        "#[derive(Debug, thiserror::Error)]\n#[error(\"{0}\")]\npub struct Bad(String);",
        "#[derive(Debug)]\npub(super) struct Bad(pub String);\n\nimpl std::error::Error for Bad {}",
        "pub struct Bad(&'static str);\n\nimpl Error for Bad {}",
    ] {
        assert_eq!(wrong(&Source::parse("a.rs", code)).len(), 1, "{code}");
    }
    for code in [
        "fn e() -> serde_json::Result<String> { x }",
        "fn e() -> Result<String, Error> { x }",
        "#[derive(Debug, thiserror::Error)]\nenum Good {}\n\n#[derive(Debug)]\npub struct Text(String);",
        "#[cfg(test)]\nmod tests {\n    fn e() -> Result<u8, String> { x }\n}",
    ] {
        assert!(wrong(&Source::parse("a.rs", code)).is_empty(), "{code}");
    }
}

fn wrong(source: &Source) -> Vec<String> {
    let mut errors = Errors::default();
    errors.visit_file(&source.file);
    let newtypes = errors.texts.into_iter().filter(|name| errors.errors.contains(name));
    let newtypes = newtypes.map(|name| format!("{}: the error {name} is a text", source.path));
    let results = errors.results.into_iter().map(|number| format!("{}: Result {number}", source.path));
    newtypes.chain(results).collect()
}

#[derive(Default)]
struct Errors {
    /// The places of results whose error is a text, among all of the file.
    results: Vec<usize>,
    seen: usize,
    /// Structures that are a text and no more.
    texts: Vec<String>,
    /// Types that are errors.
    errors: Vec<String>,
}

impl<'ast> Visit<'ast> for Errors {
    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        if segment.ident == "Result"
            && let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments
        {
            self.seen = self.seen.saturating_add(1);
            if let Some(syn::GenericArgument::Type(error)) = arguments.args.iter().nth(1)
                && is_text(error)
            {
                self.results.push(self.seen);
            }
        }
        visit::visit_path_segment(self, segment);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        if let syn::Fields::Unnamed(fields) = &item.fields
            && fields.unnamed.iter().all(|field| is_text(&field.ty))
        {
            self.texts.push(item.ident.to_string());
        }
        for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("derive")) {
            let derived = attribute.parse_nested_meta(|meta| {
                if meta.path.segments.last().is_some_and(|last| last.ident == "Error") {
                    self.errors.push(item.ident.to_string());
                }
                Ok(())
            });
            derived.unwrap();
        }
        visit::visit_item_struct(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some((_, of, _)) = &item.trait_
            && of.segments.last().is_some_and(|last| last.ident == "Error")
            && let syn::Type::Path(own) = &*item.self_ty
        {
            self.errors.extend(own.path.segments.last().map(|last| last.ident.to_string()));
        }
        visit::visit_item_impl(self, item);
    }
}

/// `String`, `str`, `&str`, `Box<str>`, `Cow<str>`, or a box of any error, which is no more.
fn is_text(ty: &syn::Type) -> bool {
    match ty {
        syn::Type::Reference(reference) => is_text(&reference.elem),
        syn::Type::TraitObject(_) => true,
        syn::Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            let holds_text = match &last.arguments {
                syn::PathArguments::AngleBracketed(held) => held
                    .args
                    .iter()
                    .any(|held| matches!(held, syn::GenericArgument::Type(held) if is_text(held))),
                _ => false,
            };
            match last.ident.to_string().as_str() {
                "String" | "str" => true,
                "Box" | "Cow" | "Rc" | "Arc" => holds_text,
                _ => false,
            }
        }),
        _ => false,
    }
}
