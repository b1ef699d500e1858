//! The test doubles themselves: that they do what the real servers do, over real connections.

mod echo;
mod faulty;
mod resolver;
mod site;
mod wire;
