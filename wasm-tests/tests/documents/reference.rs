//! Checks the configuration's reference against the parser: each field, each default, each error.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::configurations::{
    known_fields, parse, smallest, smallest_forward_auth, smallest_introspection, smallest_jwt,
};
use crate::document;
use crate::markdown::{self, Document};

/// The objects outside the rules. A rule has some of them too, with the same fields.
const OBJECTS: [&str; 5] = ["on_error", "cache", "require", "on_unauthenticated", "on_forbidden"];

/// A configuration with each documented object and list, except for the alternatives to `authgear`.
fn with_objects() -> Value {
    let mut configuration = smallest();
    for object in OBJECTS {
        configuration[object] = json!({});
    }
    configuration["rules"] = json!([{}]);
    configuration
}

/// Every field that the parser knows, by path.
fn fields() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for name in known_fields(smallest(), "") {
        let inner = match name.as_str() {
            "forward_auth" => known_fields(smallest_forward_auth(), "/forward_auth"),
            "jwt" => fields_of_an_issuer(),
            "rules" => known_fields(with_objects(), "/rules/0"),
            name if name == "authgear" || OBJECTS.contains(&name) => {
                known_fields(with_objects(), &format!("/{name}"))
            }
            _ => Vec::new(),
        };
        let is_list = matches!(name.as_str(), "jwt" | "rules");
        let prefix = if is_list { format!("{name}[]") } else { name.clone() };
        let inner = inner.into_iter().flat_map(|field| match (name.as_str(), field.as_str()) {
            ("authgear", "login") => {
                let mut configuration = smallest();
                configuration["authgear"]["login"] = json!({});
                let inner = known_fields(configuration, "/authgear/login");
                inner.into_iter().map(|inner| format!("login.{inner}")).collect()
            }
            _ => vec![field],
        });
        let inner: Vec<_> = inner.collect();
        if inner.is_empty() {
            fields.insert(name);
        }
        fields.extend(inner.into_iter().map(|field| format!("{prefix}.{field}")));
    }
    fields
}

/// Those of an issuer, with what stands in its objects.
fn fields_of_an_issuer() -> Vec<String> {
    let mut fields = known_fields(smallest_jwt(), "/jwt/0");
    fields.retain(|field| field != "introspection");
    let inner = known_fields(smallest_introspection(), "/jwt/0/introspection");
    fields.extend(inner.into_iter().map(|field| format!("introspection.{field}")));
    fields
}

#[test]
fn a_rule_holds_what_stands_beside_the_rules_with_the_same_fields() {
    let known = known_fields(with_objects(), "/rules/0");
    for object in ["require", "on_unauthenticated", "on_forbidden"] {
        assert!(known.iter().any(|name| name == object), "{known:?}");
        let mut configuration = with_objects();
        configuration["rules"][0][object] = json!({});
        assert_eq!(
            known_fields(configuration.clone(), &format!("/rules/0/{object}")),
            known_fields(configuration, &format!("/{object}")),
        );
    }
}

/// The rows of the reference: field, type, default, meaning.
fn reference(document: &Document) -> Vec<[String; 3]> {
    let rows = document.rows(&["field", "type", "default", "meaning"]);
    let cell = |row: &[String], at: usize| row[at].clone();
    rows.iter().map(|row| [markdown::code(&row[0]).remove(0), cell(row, 1), cell(row, 2)]).collect()
}

#[test]
fn every_field_is_documented_and_every_documented_field_exists() {
    let exist = fields();
    let documented = |document: &Document| -> BTreeSet<String> {
        reference(document).into_iter().map(|[field, ..]| field).collect()
    };
    let document = document("docs/configuration.md");
    let missing: Vec<_> = exist.difference(&documented(&document)).cloned().collect();
    assert_eq!(missing, [""; 0], "not in docs/configuration.md");
    let invented: Vec<_> = documented(&document).difference(&exist).cloned().collect();
    assert_eq!(invented, [""; 0], "in docs/configuration.md, unknown to the parser");
}

/// The object that holds a field, and the field's own name.
fn place<'a, 'b>(configuration: &'a mut Value, field: &'b str) -> (&'a mut Map<String, Value>, &'b str) {
    let mut at = configuration;
    let mut names: Vec<_> = field.split('.').collect();
    let last = names.pop().unwrap();
    for name in names {
        at = match name.strip_suffix("[]") {
            Some(list) => &mut at[list][0],
            None => {
                if at[name].is_null() {
                    at[name] = json!({});
                }
                &mut at[name]
            }
        };
    }
    (at.as_object_mut().unwrap(), last)
}

/// The smallest configuration in which a field has an effect.
fn base(field: &str) -> Value {
    let (first, _) = field.split_once('.').unwrap_or((field, ""));
    match first {
        "jwt[]" if field.starts_with("jwt[].introspection.") => smallest_introspection(),
        "jwt[]" => smallest_jwt(),
        "forward_auth" => smallest_forward_auth(),
        _ if field == "cache.key" => smallest_forward_auth(),
        "on_unauthenticated" | "on_forbidden" => {
            let mut base = smallest();
            base["require"] = json!({});
            base[first] = json!({"body": "no"});
            base
        }
        "authgear" if field.starts_with("authgear.login.") => {
            let mut base = smallest();
            base["authgear"]["login"] = json!({"client_id": "my-app"});
            base
        }
        "rules[]" => {
            let mut base = smallest();
            base["rules"] = json!([{}]);
            base
        }
        _ => smallest(),
    }
}

#[test]
fn every_documented_default_is_what_leaving_the_field_out_means() {
    let mut tried = 0;
    for [field, _, default] in reference(&document("docs/configuration.md")) {
        let base = base(&field);
        let mut without = base.clone();
        let (object, name) = place(&mut without, &field);
        object.remove(name);
        if default == "required" {
            let error = parse(&without).unwrap_err();
            assert!(error.starts_with(&field.replace("[]", "[0]")), "{field}: {error}");
            tried += 1;
        }
        let [text] = &markdown::code(&default)[..] else { continue };
        // `<authgear.endpoint>` stands for that field's value.
        let text = match text.split_once('<').and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
        {
            Some((before, (other, after))) => {
                let mut base = base.clone();
                let (object, name) = place(&mut base, other);
                format!("{before}{}{after}", object[name].as_str().unwrap())
            }
            None => text.clone(),
        };
        let mut with = without.clone();
        let (object, name) = place(&mut with, &field);
        object.insert(name.to_owned(), yaml_serde::from_str(&text).unwrap());
        // They cannot be compared, but their debug output is complete.
        let [with, without] = [with, without].map(|one| format!("{:?}", parse(&one).unwrap()));
        assert_eq!(with, without, "{field}: {text}");
        tried += 1;
    }
    assert!(tried > 5, "{tried}");
}

/// Merges `change` into `base`.
fn merge(base: &mut Value, change: Value) {
    match change {
        Value::Object(change) if base.is_object() => {
            for (name, value) in change {
                merge(&mut base[name], value);
            }
        }
        change => *base = change,
    }
}

#[test]
fn every_documented_mistake_is_refused_with_the_documented_words() {
    let document = document("docs/configuration.md");
    // The header of each table, the configuration around the example, and the example's place in it.
    let over = [
        ("written", smallest(), ""),
        ("written in `jwt[0]`", smallest_jwt(), "/jwt/0"),
        ("written in `jwt[0].introspection`", smallest_introspection(), "/jwt/0/introspection"),
        ("written beside `forward_auth`", smallest_forward_auth(), ""),
    ];
    let mut wrong = Vec::new();
    for (header, base, place_of_it) in over {
        let rows = document.rows(&[header, "the log says"]);
        assert!(rows.len() > 5);
        for row in rows {
            let written = markdown::code(&row[0]).remove(0);
            let mut configuration = base.clone();
            if row[0].starts_with("without ") {
                let (object, name) = place(&mut configuration, &written);
                object.remove(name).expect(&written);
            } else {
                let at = configuration.pointer_mut(place_of_it).unwrap();
                merge(at, yaml_serde::from_str(&written).unwrap());
            }
            let error = parse(&configuration).expect_err(&written);
            let said = markdown::code(&row[1]).remove(0);
            if !has_parts(&error, &said) {
                wrong.push(format!("{written}\n  documented: {said}\n  is:         {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether `text` contains the parts of `pattern`, which `…` separates, in order.
fn has_parts(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    pattern.split('…').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
