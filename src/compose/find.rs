//! Finds the Compose file that is meant when none is named.

use std::path::{Path, PathBuf};

/// Names of a Compose file, the preferred one first.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// The Compose file in `from` or the nearest directory above it, followed by its override file if there is one.
#[must_use]
pub fn find_file(from: &Path) -> Option<Vec<PathBuf>> {
    from.ancestors().find_map(|directory| {
        let file = NAMES.iter().map(|name| directory.join(name)).find(|path| path.is_file())?;
        let mut overrides = NAMES.iter().map(|name| directory.join(name.replace('.', ".override.")));
        let found = overrides.find(|path| path.is_file());
        Some(std::iter::once(file).chain(found).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_and_its_override_are_found() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(root.path().join("docker-compose.yml"), "").unwrap();
        assert_eq!(find_file(&deep).unwrap(), [root.path().join("docker-compose.yml")]);
        for name in ["compose.yml", "compose.override.yaml"] {
            std::fs::write(root.path().join("a").join(name), "").unwrap();
        }
        let a = root.path().join("a");
        assert_eq!(find_file(&deep).unwrap(), [a.join("compose.yml"), a.join("compose.override.yaml")]);
    }
}
