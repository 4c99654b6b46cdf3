//! `volumes` of a service in short and long form, and `tmpfs`.

use super::super::diagnostic::Diagnostic;
use super::super::node::{Kind, Node};
use super::super::place::{Place, Spanned};
use super::super::raw_parts::{Mount, MountKind};
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
        Some(Mount { at: node.at.clone(), target, kind: MountKind::Tmpfs { size, mode, options }, read_only })
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
        let create = fields.read(self, "bind", Self::bind_options);
        let nocopy = fields.read(self, "volume", Self::volume_options);
        let tmpfs = fields.read(self, "tmpfs", Self::tmpfs_options);
        fields.entry("consistency");
        for key in ["type", "target"] {
            if fields.take(key).is_none() {
                self.out.error(&node.at, format!("{path} has no {key}"));
            }
        }
        fields.finish(self, &["image"]);
        let (kind, target) = (kind?, target?);
        let kind = match kind.value.as_str() {
            "bind" => match source {
                Some(source) => MountKind::Bind { source, create: create.unwrap_or(true) },
                None => {
                    self.out.error(&node.at, format!("{path} is a bind mount without a source"));
                    return None;
                }
            },
            "volume" => {
                let source = match source {
                    Some(source) => Some(self.volume_key(&source.value, &source.at)?),
                    None => None,
                };
                MountKind::Volume { source, nocopy: nocopy.unwrap_or_default() }
            }
            "tmpfs" => {
                let (size, mode) = tmpfs.unwrap_or_default();
                MountKind::Tmpfs { size, mode, options: None }
            }
            known @ ("npipe" | "cluster" | "image") => {
                let message = format!("{path}: mounts of type {known} aren't supported yet");
                self.unsupported(Diagnostic::error(&kind.at, message));
                return None;
            }
            other => {
                let message = format!("{path}.type must be \"bind\", \"volume\" or \"tmpfs\", but it is {other:?}");
                self.out.error(&kind.at, message);
                return None;
            }
        };
        Some(Mount { at: node.at.clone(), target, kind, read_only })
    }

    fn bind_options(&mut self, node: &Node, path: &str) -> Option<bool> {
        let mut fields = Fields::of(self, node, path)?;
        let create = fields.read(self, "create_host_path", Self::boolean);
        fields.finish(self, &["propagation", "selinux", "recursive"]);
        Some(create.unwrap_or(true))
    }

    fn volume_options(&mut self, node: &Node, path: &str) -> Option<bool> {
        let mut fields = Fields::of(self, node, path)?;
        let nocopy = fields.read(self, "nocopy", Self::boolean);
        fields.finish(self, &["subpath", "labels"]);
        nocopy
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
    let (read_only, nocopy) = mount_options(reader, options, at)?;
    let kind = match source {
        None => MountKind::Volume { source: None, nocopy },
        Some("") => return Err(format!("{text:?} has nothing before the colon").into()),
        Some(source) if source.starts_with(['/', '.', '~']) => {
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
    Ok(Mount { at: at.clone(), target, kind, read_only })
}

/// Whether the options say read-only and nocopy.
fn mount_options(reader: &mut Reader, options: &str, at: &Place) -> Result<(bool, bool), Reason> {
    let (mut read_only, mut nocopy) = (false, false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" | "cached" | "delegated" | "consistent" | "copy" => {}
            "nocopy" => nocopy = true,
            "z" | "Z" => {
                let message = format!("the SELinux option {option:?} of a mount is ignored");
                reader.out.warning(at, message);
            }
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                let message = format!("the mount propagation {option:?} isn't supported yet");
                reader.unsupported(Diagnostic::error(at, message));
            }
            _ => return Err(format!("{option:?} is not an option of a mount; there are ro, rw and nocopy").into()),
        }
    }
    Ok((read_only, nocopy))
}

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
