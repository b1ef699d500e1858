//! The configuration from outside: each field, its default, and each refusal with the path of the field.
//!
//! Everything is a test module, so that helpers too may unwrap.

#[cfg(test)]
mod fields;
#[cfg(test)]
mod forward_auth;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod login;
#[cfg(test)]
mod places;
#[cfg(test)]
mod projects;
#[cfg(test)]
mod refusals;
