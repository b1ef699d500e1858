//! The test doubles themselves: they behave like the real servers, over real connections.

mod echo;
mod faulty;
mod resolver;
mod site;
mod wire;
