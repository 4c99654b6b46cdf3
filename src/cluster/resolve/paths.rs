//! Paths of the client and paths inside a container.

use std::path::Path;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_means_whole_names() {
        assert!(is_below("/run/secrets/x", "/run/"));
        assert!(is_below("/run", "/run"));
        assert!(is_below("/run", "/"));
        assert!(!is_below("/runner", "/run"));
    }
}
