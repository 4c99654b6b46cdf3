//! A template and its parameters become Compose text.
//!
//! A template is a folder: `template.yaml` says what it is and which parameters it has, `compose.yaml.j2` is Compose
//! text in which `{{ … }}` stands for values. Every value is written as a YAML scalar of its own, quoted where needed,
//! so that no parameter can change the shape of the file; `docs/templates.md` has the rules for authors.
//!
//! Some templates are part of the program; folders given by the user add others, and win over those of the same name.

mod find;
mod manifest;
mod parameter;
mod quote;
mod render;

#[cfg(test)]
mod tests;

pub use find::{Origin, Template, files_of, find, list, user_directory};
pub use parameter::{Kind, Parameter, Value};
pub use render::Rendered;
