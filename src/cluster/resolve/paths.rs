//! Paths of the client, made absolute.

use std::path::{Component, Path, PathBuf};

/// What relative paths refer to.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    /// Absolute.
    pub(super) working_dir: PathBuf,
    /// For paths that begin with `~`; None: the environment has no HOME.
    pub(super) home: Option<PathBuf>,
}

impl Paths {
    /// The absolute path, `.` and `..` removed by text (as Compose does; links aren't followed).
    pub(super) fn absolute(&self, written: &str) -> PathBuf {
        let path = match (written.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            _ => self.working_dir.join(written),
        };
        clean(&path)
    }
}

/// Whether a path depends on the client's machine: relative, or in a home directory.
pub(super) fn is_of_client(written: &str) -> bool {
    !Path::new(written).is_absolute()
}

/// A path inside a container without a slash at its end.
pub(super) fn inside(target: &str) -> &str {
    match target.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    }
}

/// Whether `path` is `folder` or below it, both inside a container.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    Path::new(path).starts_with(inside(folder))
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

    #[test]
    fn below_means_whole_names() {
        assert!(is_below("/run/secrets/x", "/run/"));
        assert!(is_below("/run", "/run"));
        assert!(is_below("/run", "/"));
        assert!(!is_below("/runner", "/run"));
    }
}
