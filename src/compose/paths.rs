//! Paths of the client: which values are some, and how they are made absolute.

use std::path::{Component, Path, PathBuf};

use super::node::{Kind, Map, Node};

/// What relative paths refer to.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Absolute.
    pub(crate) working_dir: PathBuf,
    /// For paths that begin with `~`; None: they stay as they are.
    pub(crate) home: Option<PathBuf>,
}

impl Paths {
    /// The absolute path, `.` and `..` removed by text (as Compose does; links aren't followed).
    pub(crate) fn absolute(&self, written: &str) -> PathBuf {
        let path = match (written.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            _ => self.working_dir.join(written),
        };
        clean(&path)
    }

    /// Makes every path of a tree absolute.
    pub(super) fn resolve_tree(&self, tree: &mut Node) {
        self.resolve(tree, &mut Vec::new());
    }

    /// Makes every path of a service absolute.
    pub(super) fn resolve_service(&self, service: &mut Node) {
        self.resolve(service, &mut vec!["services".to_owned(), String::new()]);
    }

    fn resolve(&self, node: &mut Node, path: &mut Vec<String>) {
        let kind = kind(path);
        match (&mut node.kind, kind) {
            (Kind::Scalar(scalar), Some(kind)) if !scalar.text.is_empty() => {
                if let Some(text) = self.rewritten(&scalar.text, kind) {
                    scalar.text = text;
                }
            }
            (Kind::Map(map), _) => self.resolve_map(map, path),
            (Kind::List(list), _) => {
                for item in list {
                    path.push("*".to_owned());
                    self.resolve(item, path);
                    path.pop();
                }
            }
            (Kind::Scalar(_), _) => {}
        }
    }

    fn resolve_map(&self, map: &mut Map, path: &mut Vec<String>) {
        // In the long form of a mount or a device only a bind's source is a path of the client.
        let text = |key: &str| map.get(key).and_then(|entry| entry.value.as_text()).map(str::to_owned);
        let is_mount = matches!(path.iter().map(String::as_str).collect::<Vec<_>>()[..], ["services", _, "volumes", _]);
        let is_bind = is_mount && text("type").as_deref() == Some("bind");
        let opts_are_bind = is_driver_opts(path) && text("type").as_deref() == Some("none");
        for (key, entry) in map {
            if is_mount && !(is_bind && key == "source") {
                continue;
            }
            if is_bind || (opts_are_bind && key == "device") {
                if let Kind::Scalar(scalar) = &mut entry.value.kind
                    && let Some(text) = self.rewritten(&scalar.text, PathKind::Plain)
                {
                    scalar.text = text;
                }
                continue;
            }
            path.push(key.clone());
            self.resolve(&mut entry.value, path);
            path.pop();
        }
    }

    /// A build's context: a directory becomes absolute, anything else stays.
    pub(crate) fn context(&self, written: &str) -> String {
        self.rewritten(written, PathKind::Context).unwrap_or_else(|| written.to_owned())
    }

    fn rewritten(&self, text: &str, kind: PathKind) -> Option<String> {
        let absolute = |text: &str| {
            // Without a home directory `~` stays what it is: whoever has one resolves it.
            let stays = text.starts_with('~') && self.home.is_none();
            (!stays).then(|| self.absolute(text).display().to_string())
        };
        match kind {
            PathKind::Plain => absolute(text),
            PathKind::Context if is_remote(text) => None,
            PathKind::Context => absolute(text),
            PathKind::Contexts => {
                let (name, context) = text.split_once('=')?;
                (!is_remote(context)).then(|| absolute(context)).flatten().map(|context| format!("{name}={context}"))
            }
            PathKind::Mount => {
                let (source, rest) = text.split_once(':')?;
                if !source.starts_with(['/', '.', '~']) {
                    return None;
                }
                Some(format!("{}:{rest}", absolute(source)?))
            }
        }
    }
}

/// How a value that is a path is written.
#[derive(Debug, Clone, Copy)]
enum PathKind {
    Plain,
    /// A directory, or an address of something that isn't one.
    Context,
    /// `name=context`.
    Contexts,
    /// `source:target[:options]`.
    Mount,
}

fn kind(path: &[String]) -> Option<PathKind> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, rest @ ..] => match rest {
            ["build"] | ["build", "context"] => Some(PathKind::Context),
            ["build", "additional_contexts", "*"] => Some(PathKind::Contexts),
            ["build", "additional_contexts", _] => Some(PathKind::Context),
            ["env_file" | "label_file"] | ["env_file" | "label_file", "*"] | ["env_file", "*", "path"] => {
                Some(PathKind::Plain)
            }
            ["develop", "watch", _, "path"] | ["extends", "file"] => Some(PathKind::Plain),
            ["volumes", _] => Some(PathKind::Mount),
            _ => None,
        },
        ["configs" | "secrets", _, "file"] => Some(PathKind::Plain),
        _ => None,
    }
}

fn is_driver_opts(path: &[String]) -> bool {
    matches!(path, [volumes, _, opts] if volumes == "volumes" && opts == "driver_opts")
}

/// Whether a build context is something else than a directory: a repository, an image, another service's image.
pub(crate) fn is_remote(context: &str) -> bool {
    context.contains("://")
        || context.starts_with("git@")
        || context.starts_with("github.com/")
        || context.starts_with("service:")
}

fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute() {
        let paths = Paths { working_dir: "/work/demo".into(), home: Some("/home/me".into()) };
        let cases = [
            ("./a", "/work/demo/a"),
            ("../b/./c", "/work/b/c"),
            (".", "/work/demo"),
            ("/x/../y/", "/y"),
            ("/../..", "/"),
            ("~", "/home/me"),
            ("~/d", "/home/me/d"),
            ("~other", "/work/demo/~other"),
        ];
        for (written, expected) in cases {
            assert_eq!(paths.absolute(written), Path::new(expected), "{written}");
        }
    }
}
