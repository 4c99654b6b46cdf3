//! Finds the Compose files that are meant when none is named.

use std::path::{Path, PathBuf};

use super::environment::Environment;

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

/// The files that `COMPOSE_FILE` names, `COMPOSE_PATH_SEPARATOR` (or else a colon) between them; empty without it.
#[must_use]
pub fn named_files(environment: &Environment) -> Vec<PathBuf> {
    let separator = environment.get("COMPOSE_PATH_SEPARATOR").unwrap_or(if cfg!(windows) { ";" } else { ":" });
    let names = environment.get("COMPOSE_FILE").unwrap_or_default().split(separator);
    names.filter(|name| !name.is_empty()).map(PathBuf::from).collect()
}

/// Where a Compose file and one that overrides it would be in a folder.
#[must_use]
pub fn candidates(folder: &Path) -> Vec<PathBuf> {
    let overrides = NAMES.iter().map(|name| folder.join(name.replace('.', ".override.")));
    NAMES.iter().map(|name| folder.join(name)).chain(overrides).collect()
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

    #[test]
    fn a_variable_names_files() {
        let named = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            named_files(&Environment::fixed(pairs.collect()))
        };
        assert_eq!(named(&[("COMPOSE_FILE", "a.yaml:b.yaml")]), [PathBuf::from("a.yaml"), "b.yaml".into()]);
        let separated = [("COMPOSE_FILE", "a:1;b"), ("COMPOSE_PATH_SEPARATOR", ";")];
        assert_eq!(named(&separated), [PathBuf::from("a:1"), "b".into()]);
        assert!(named(&[("COMPOSE_FILE", "")]).is_empty());
    }
}
