//! The demo's pages in a real browser, headless Chromium: what a person sees, presses and can read.

mod chromium;
mod looks;
mod picture;
mod scenes;
mod visit;
