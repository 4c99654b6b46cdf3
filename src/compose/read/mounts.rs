//! `volumes` of a service in short and long form, and `tmpfs`.

use super::super::diagnostic::Diagnostic;
use super::super::node::{Kind, Node};
use super::super::place::{Place, Spanned};
use super::super::raw_parts::{Mount, MountKind};
use super::super::settings::{MountOptions, Recursive};
use super::fields::{Fields, Reader};
use super::ports::Reason;
use crate::names::VolumeKey;

impl Reader {
    /// `volumes`. Two mounts of one target are an error.
    pub(super) fn mounts(&mut self, node: &Node, path: &str) -> Vec<Mount> {
        self.items(node, path, |reader, item, path| match &item.kind {
            Kind::Map(_) => reader.long_mount(item, path),
            _ => {
                let text = reader.filled(item, path)?;
                let mount = short_mount(reader, &text, &item.at);
                reader.checked(&item.at, path, mount)
            }
        })
    }

    /// `tmpfs`: one or several `target[:options]`.
    pub(super) fn tmpfs(&mut self, node: &Node, path: &str) -> Vec<Mount> {
        if let Kind::Scalar(_) = &node.kind {
            return self.one_tmpfs(node, path).into_iter().collect();
        }
        self.items(node, path, Self::one_tmpfs)
    }

    fn one_tmpfs(&mut self, node: &Node, path: &str) -> Option<Mount> {
        let text = self.filled(node, path)?;
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        let target = self.checked(&node.at, path, absolute(target))?;
        let (mut size, mut mode, mut others) = (None, None, Vec::new());
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("size", text)) => size = Some(self.size(&Node::text(node.at.clone(), text), path)?),
                Some(("mode", text)) => mode = Some(self.mode(&Node::text(node.at.clone(), text), path)?),
                _ => others.push(option),
            }
        }
        let read_only = others.contains(&"ro");
        let options = (!others.is_empty()).then(|| others.join(","));
        let kind = MountKind::Tmpfs { size, mode, options };
        Some(Mount { at: node.at.clone(), target, kind, read_only, options: MountOptions::default() })
    }

    /// Notes every mount whose target an earlier one has.
    pub(super) fn check_mount_targets(&mut self, mounts: &[Mount]) {
        for (index, mount) in mounts.iter().enumerate() {
            if let Some(first) = mounts[..index].iter().find(|first| same_path(&first.target, &mount.target)) {
                let message = format!("something is already mounted at {}", mount.target);
                self.out.push(Diagnostic::error(&mount.at, message).hint(format!("the first is at {}", first.at)));
            }
        }
    }

    fn long_mount(&mut self, node: &Node, path: &str) -> Option<Mount> {
        let mut fields = Fields::of(self, node, path)?;
        let kind = fields.read(self, "type", Self::spanned);
        let source = fields.read(self, "source", Self::spanned);
        let target = fields.read(self, "target", |reader, node, path| {
            let target = reader.filled(node, path)?;
            reader.checked(&node.at, path, absolute(&target))
        });
        let read_only = fields.read(self, "read_only", Self::boolean).unwrap_or_default();
        let mut options = MountOptions::default();
        let create = fields.read(self, "bind", |reader, node, path| reader.bind_options(node, path, &mut options));
        if !read_only && matches!(options.recursive, Some(Recursive::Writable | Recursive::Readonly)) {
            let message = format!("{path}.bind.recursive says how a mount is read-only, and this one isn't");
            self.out.push(Diagnostic::error(&node.at, message).hint("add read_only: true"));
        }
        let nocopy = fields.read(self, "volume", |reader, node, path| reader.volume_options(node, path, &mut options));
        let tmpfs = fields.read(self, "tmpfs", Self::tmpfs_options);
        if let Some(image) = fields.take("image") {
            self.image_options(image, &fields.path_of("image"), &mut options);
        }
        fields.entry("consistency");
        for key in ["type", "target"] {
            if fields.take(key).is_none() {
                self.out.error(&node.at, format!("{path} has no {key}"));
            }
        }
        fields.finish(self, &[]);
        let (kind, target) = (kind?, target?);
        let missing = |reader: &mut Self, what: &str| {
            reader.out.error(&node.at, format!("{path} is a mount of type {what} without a source"));
            None
        };
        let kind = match (kind.value.as_str(), source) {
            ("bind", Some(source)) => MountKind::Bind { source, create: create.unwrap_or(true) },
            ("image", Some(source)) => MountKind::Image { source },
            ("bind" | "image", None) => return missing(self, &kind.value),
            ("volume", source) => {
                let source = match source {
                    Some(source) => Some(self.volume_key(&source.value, &source.at)?),
                    None => None,
                };
                MountKind::Volume { source, nocopy: nocopy.unwrap_or_default() }
            }
            ("tmpfs", _) => {
                let (size, mode) = tmpfs.unwrap_or_default();
                MountKind::Tmpfs { size, mode, options: None }
            }
            (known @ ("npipe" | "cluster"), _) => {
                let message = format!("{path}: mounts of type {known} aren't supported yet");
                self.unsupported(Diagnostic::error(&kind.at, message));
                return None;
            }
            (other, _) => {
                let message =
                    format!("{path}.type must be \"bind\", \"volume\", \"tmpfs\" or \"image\", but it is {other:?}");
                self.out.error(&kind.at, message);
                return None;
            }
        };
        Some(Mount { at: node.at.clone(), target, kind, read_only, options })
    }

    fn bind_options(&mut self, node: &Node, path: &str, options: &mut MountOptions) -> Option<bool> {
        let mut fields = Fields::of(self, node, path)?;
        let create = fields.read(self, "create_host_path", Self::boolean);
        options.selinux = fields.read(self, "selinux", |reader, node, path| reader.one_of(node, path, &SELINUX));
        options.propagation =
            fields.read(self, "propagation", |reader, node, path| reader.one_of(node, path, &PROPAGATION));
        options.recursive = fields
            .read(self, "recursive", |reader, node, path| reader.one_of(node, path, &RECURSIVE))
            .and_then(|word| match word.as_str() {
                "disabled" => Some(Recursive::Disabled),
                "writable" => Some(Recursive::Writable),
                "readonly" => Some(Recursive::Readonly),
                _ => None,
            });
        fields.finish(self, &[]);
        Some(create.unwrap_or(true))
    }

    /// One of some words.
    fn one_of(&mut self, node: &Node, path: &str, words: &[&str]) -> Option<String> {
        let word = self.string(node, path)?;
        if !words.contains(&word.as_str()) {
            let diagnostic = Diagnostic::error(&node.at, format!("{path} can't be {word:?}"));
            self.out.push(diagnostic.hint(format!("there are {}", words.join(", "))));
            return None;
        }
        Some(word)
    }

    fn volume_options(&mut self, node: &Node, path: &str, options: &mut MountOptions) -> Option<bool> {
        let mut fields = Fields::of(self, node, path)?;
        let nocopy = fields.read(self, "nocopy", Self::boolean);
        options.labels = fields.read_or_default(self, "labels", Self::sorted_labels);
        options.subpath = fields.read(self, "subpath", Self::subpath);
        fields.finish(self, &[]);
        nocopy
    }

    fn image_options(&mut self, node: &Node, path: &str, options: &mut MountOptions) {
        let Some(mut fields) = Fields::of(self, node, path) else { return };
        options.subpath = fields.read(self, "subpath", Self::subpath).or(options.subpath.take());
        fields.finish(self, &[]);
    }

    /// A path below the root of a volume.
    fn subpath(&mut self, node: &Node, path: &str) -> Option<String> {
        let text = self.filled(node, path)?;
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            let diagnostic =
                Diagnostic::error(&node.at, format!("{path}: {text:?} isn't a path below the volume's root"));
            self.out.push(diagnostic.hint("write it without a slash before it, and without .."));
            return None;
        }
        Some(text)
    }

    fn tmpfs_options(&mut self, node: &Node, path: &str) -> Option<(Option<crate::units::ByteSize>, Option<u32>)> {
        let mut fields = Fields::of(self, node, path)?;
        let size = fields.read(self, "size", Self::size);
        let mode = fields.read(self, "mode", Self::mode);
        fields.finish(self, &[]);
        Some((size, mode))
    }

    fn volume_key(&mut self, text: &str, at: &Place) -> Option<Spanned<VolumeKey>> {
        Some(Spanned::new(self.name(text, at)?, at.clone()))
    }
}

/// The target of a short form, for merging: mounts of one target replace each other.
pub(in crate::compose) fn short_target(text: &str) -> &str {
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    parts.next().unwrap_or(first)
}

/// `[source:]target[:options]`.
fn short_mount(reader: &mut Reader, text: &str, at: &Place) -> Result<Mount, Reason> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(format!("{text:?} has too many colons; write [source:]target[:options]").into()),
    };
    let target = absolute(target)?;
    let is_bind = source.is_some_and(|source| source.starts_with(['/', '.', '~']));
    let ShortOptions { read_only, nocopy, options } = short_options(reader, options, is_bind, at)?;
    let kind = match source {
        None => MountKind::Volume { source: None, nocopy },
        Some("") => return Err(format!("{text:?} has nothing before the colon").into()),
        Some(source) if is_bind => {
            MountKind::Bind { source: Spanned::new(source.to_owned(), at.clone()), create: true }
        }
        Some(source) => {
            let key = source.parse().map_err(|error| {
                let hint = source.contains('/').then_some("a relative path begins with ./");
                Reason { text: format!("{error}"), hint }
            })?;
            MountKind::Volume { source: Some(Spanned::new(key, at.clone())), nocopy }
        }
    };
    Ok(Mount { at: at.clone(), target, kind, read_only, options })
}

/// What stands after the target of a short form.
#[derive(Default)]
struct ShortOptions {
    read_only: bool,
    nocopy: bool,
    options: MountOptions,
}

fn short_options(reader: &mut Reader, text: &str, is_bind: bool, at: &Place) -> Result<ShortOptions, Reason> {
    let mut short = ShortOptions::default();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => short.read_only = true,
            "rw" | "cached" | "delegated" | "consistent" | "copy" => {}
            "nocopy" => short.nocopy = true,
            known if is_bind && SELINUX.contains(&known) => short.options.selinux = Some(known.to_owned()),
            known if is_bind && PROPAGATION.contains(&known) => short.options.propagation = Some(known.to_owned()),
            known if SELINUX.contains(&known) => {
                let message = format!("the SELinux option {known:?} of a volume is ignored");
                reader.out.push(Diagnostic::warning(at, message).hint("the engine labels its volumes itself"));
            }
            known if PROPAGATION.contains(&known) => {
                return Err(format!("{known:?} is for paths of the host, and this is a volume").into());
            }
            _ => return Err(format!("{option:?} is not an option of a mount; there are ro, rw and nocopy").into()),
        }
    }
    Ok(short)
}

/// How SELinux relabels a path of the host.
const SELINUX: [&str; 2] = ["z", "Z"];
const PROPAGATION: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
const RECURSIVE: [&str; 4] = ["enabled", "disabled", "writable", "readonly"];

/// The path inside, which must be absolute and not the root.
fn absolute(target: &str) -> Result<String, Reason> {
    if !target.starts_with('/') {
        let hint = Some("write [source:]target[:options] with an absolute target");
        return Err(Reason { text: format!("the target {target:?} is not an absolute path"), hint });
    }
    if same_path(target, "/") {
        return Err("nothing can be mounted at /".to_owned().into());
    }
    Ok(target.to_owned())
}

fn same_path(a: &str, b: &str) -> bool {
    let parts = |path: &'_ str| path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect();
    let (a, b): (Vec<String>, Vec<String>) = (parts(a), parts(b));
    a == b
}
