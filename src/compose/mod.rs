//! Compose text becomes a [`Project`]: as written, each part with its place, many problems reported at once.
//!
//! The text is parsed to a tree of nodes with places (`yaml`), variables are replaced in it (`interpolate`), what it
//! takes in from elsewhere is added (`extends`, `include`), several files are merged (`merge`), and the tree is read
//! into typed values (`read`). References between parts aren't checked here but by the resolver in
//! [`cluster`](crate::cluster).

mod build_options;
mod canonical;
mod diagnostic;
mod env_file;
mod environment;
mod extends;
mod files;
mod find;
mod include;
mod interpolate;
mod load;
mod merge;
pub(crate) mod node;
mod paths;
mod place;
mod raw;
mod raw_parts;
mod read;
mod references;
mod settings;
mod shell_words;
pub(crate) mod suggest;
pub(crate) mod yaml;

#[cfg(test)]
mod tests;

pub use build_options::{BuildOptions, KitOptions};
pub use canonical::Canonical;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use environment::{Environment, variables_of};
pub use find::{candidates, find_file, named_files};
pub use load::{LoadOptions, Loaded, Source, load, load_raw};
pub(crate) use paths::{Paths, is_remote};
pub use place::{Place, SourceText, Spanned};
pub use raw::{Build, FileOrigin, FileSource, Network, Project, PullPolicy, Service, ServiceConvoke, Start, Volume};
pub use raw_parts::{
    Attachment, Condition, Dependency, FileRef, Healthcheck, Mount, MountKind, OwnerRule, Port, ProbeAction, ProbeRule,
    Protocol, Restart, Test, Ulimit,
};
pub use references::Reference;
pub use settings::{
    Blkio, Device, DeviceRequest, EndpointSettings, Hook, Hooks, IpPool, Ipam, Logging, MountOptions, Recursive,
    Settings,
};
pub(crate) use suggest::closest;
