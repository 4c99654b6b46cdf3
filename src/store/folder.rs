//! The folder itself, and the little that is remembered in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::names::{ClusterName, ComponentName};

/// A file of a cluster's folder that couldn't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("can't {doing} {}: {source}", path.display())]
pub struct StoreError {
    /// `read`, `write` or `remove`.
    doing: &'static str,
    /// The file.
    path: PathBuf,
    /// Why.
    source: io::Error,
}

/// What the user wants of a cluster; a supervisor obeys it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// It should run.
    Up,
    /// It should be there, but not run.
    Stopped,
    /// It should be gone.
    Down,
}

impl Wanted {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Stopped => "stopped",
            Self::Down => "down",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Up, Self::Stopped, Self::Down].into_iter().find(|wanted| wanted.as_str() == text.trim())
    }
}

/// What a cluster was last started from. Parameters of a template aren't kept: some are secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Absolute paths of the Compose files.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Name of the template.
    #[serde(default)]
    pub template: Option<String>,
}

/// The folder of one cluster. Where it can't be written it is degraded: it remembers nothing and locks nothing.
#[derive(Debug, Clone)]
pub struct Store {
    cluster: ClusterName,
    /// None: degraded.
    folder: Option<PathBuf>,
    warning: Option<String>,
}

impl Store {
    /// The folder of this cluster, made if it isn't there. It can't fail: see [`Self::warning`].
    #[must_use]
    pub fn open(cluster: &ClusterName) -> Self {
        match state_root(|key| std::env::var_os(key)) {
            Some(root) => Self::open_at(&root, cluster),
            None => Self::degraded(cluster, NO_DIRECTORY),
        }
    }

    /// The folder of this cluster under another state directory.
    #[must_use]
    pub fn open_at(root: &Path, cluster: &ClusterName) -> Self {
        let folder = root.join("clusters").join(cluster.as_str());
        match prepare(&folder) {
            Ok(()) => Self { cluster: cluster.clone(), folder: Some(folder), warning: None },
            Err(error) => Self::degraded(cluster, &cannot_write(root, &error)),
        }
    }

    /// What stands in the way of a folder in the state directory. Nothing of the trial is left.
    #[must_use]
    pub fn trouble() -> Option<String> {
        match state_root(|key| std::env::var_os(key)) {
            Some(root) => trial(&root).err().map(|error| cannot_write(&root, &error)),
            None => Some(NO_DIRECTORY.to_owned()),
        }
    }

    /// The folder of this cluster under a state directory, if it is there: to read it. Nothing is made.
    #[must_use]
    pub fn find(root: &Path, cluster: &ClusterName) -> Option<Self> {
        let folder = root.join("clusters").join(cluster.as_str());
        folder.is_dir().then(|| Self { cluster: cluster.clone(), folder: Some(folder), warning: None })
    }

    /// Every folder under a state directory, in the order of names.
    #[must_use]
    pub fn all(root: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(root.join("clusters")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| ClusterName::new(entry.file_name().into_string().ok()?).ok());
        let mut found: Vec<Self> = names.filter_map(|name| Self::find(root, &name)).collect();
        found.sort_by(|one, other| one.cluster.cmp(&other.cluster));
        found
    }

    /// A folder that remembers nothing.
    fn degraded(cluster: &ClusterName, why: &str) -> Self {
        let warning = format!("{why}; runs are not recorded, and two commands at once are not kept apart");
        Self { cluster: cluster.clone(), folder: None, warning: Some(warning) }
    }

    /// The cluster.
    #[must_use]
    pub const fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// What to tell the user where the folder can't be used.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Where run records are kept; None where there is no folder.
    #[must_use]
    pub fn runs_dir(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join("runs"))
    }

    /// What is wanted of the cluster; None where nobody said so.
    #[must_use]
    pub fn wanted(&self) -> Option<Wanted> {
        Wanted::parse(&std::fs::read_to_string(self.path("wanted")?).ok()?)
    }

    /// Says what is wanted of the cluster.
    ///
    /// # Errors
    /// When the file can't be written. A degraded folder takes it silently: it warned before.
    pub fn set_wanted(&self, wanted: Wanted) -> Result<(), StoreError> {
        self.replace("wanted", format!("{}\n", wanted.as_str()).as_bytes())
    }

    /// Components that were stopped by their names, and not started since.
    #[must_use]
    pub fn stopped(&self) -> BTreeSet<ComponentName> {
        let text = self.path("stopped.json").and_then(|path| std::fs::read(path).ok());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Remembers which components are to stay stopped.
    ///
    /// # Errors
    /// When the file can't be written. A degraded folder takes it silently: it warned before.
    pub fn set_stopped(&self, components: &BTreeSet<ComponentName>) -> Result<(), StoreError> {
        let text = serde_json::to_vec(components).map_err(|error| self.error("write", "stopped.json", error.into()))?;
        self.replace("stopped.json", &text)
    }

    /// The files that say what is wanted, for one that watches them.
    #[must_use]
    pub fn wanted_files(&self) -> Vec<PathBuf> {
        ["wanted", "stopped.json"].into_iter().filter_map(|name| self.path(name)).collect()
    }

    /// What the cluster was last started from.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        serde_json::from_slice(&std::fs::read(self.path("source.json")?).ok()?).ok()
    }

    /// Remembers what the cluster is started from.
    ///
    /// # Errors
    /// When the file can't be written. A degraded folder takes it silently: it warned before.
    pub fn set_source(&self, source: &Source) -> Result<(), StoreError> {
        let text = serde_json::to_vec(source).map_err(|error| self.error("write", "source.json", error.into()))?;
        self.replace("source.json", &text)
    }

    /// A file of the folder.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(name))
    }

    /// Replaces a file as a whole, so that a reader never sees half of it.
    pub(super) fn replace(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        // A temporary file is 0600 from the start.
        let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
            file.write_all(content)?;
            file.persist(folder.join(name)).map_err(|error| error.error)
        });
        written.map(drop).map_err(|error| self.error("write", name, error))
    }

    pub(super) fn error(&self, doing: &'static str, name: &str, source: io::Error) -> StoreError {
        StoreError { doing, path: self.path(name).unwrap_or_else(|| name.into()), source }
    }
}

/// The state directory by these variables. None where none of them says anything.
pub fn state_root(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |key: &str| variable(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(own) = set("CONVOKE_STATE_DIR") {
        return std::path::absolute(own).ok();
    }
    // The XDG specification: a relative path is to be ignored.
    if let Some(state) = set("XDG_STATE_HOME").filter(|path| path.is_absolute()) {
        return Some(state.join("convoke"));
    }
    Some(set("HOME")?.join(".local/state/convoke"))
}

const NO_DIRECTORY: &str = "no state directory: neither CONVOKE_STATE_DIR nor HOME is set";

fn cannot_write(root: &Path, error: &io::Error) -> String {
    format!("state directory {} can't be written: {error}", root.display())
}

/// Makes a cluster's folder for a moment, in that part of the path which is there already.
fn trial(root: &Path) -> io::Result<()> {
    let clusters = root.join("clusters");
    let there = clusters.ancestors().find(|folder| folder.exists()).unwrap_or(root);
    prepare(tempfile::Builder::new().prefix(".trial").tempdir_in(there)?.path())
}

/// Makes the folder and proves that it can be written, by the file that is needed first.
fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder.join("runs"))?;
    open_private(&folder.join("actions.lock")).map(drop)
}

/// Opens a file for reading and writing, 0600, made if it isn't there, with its content as it is.
pub(super) fn open_private(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn demo() -> ClusterName {
        ClusterName::new("demo").unwrap()
    }

    fn root_of(variables: &[(&str, &str)]) -> Option<PathBuf> {
        state_root(|key| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn the_state_directory_by_precedence() {
        let home = ("HOME", "/home/u");
        let xdg = ("XDG_STATE_HOME", "/state");
        assert_eq!(root_of(&[home, xdg, ("CONVOKE_STATE_DIR", "/own")]), Some("/own".into()));
        assert_eq!(root_of(&[home, xdg, ("CONVOKE_STATE_DIR", "")]), Some("/state/convoke".into()));
        assert_eq!(root_of(&[home, ("XDG_STATE_HOME", "relative")]), Some("/home/u/.local/state/convoke".into()));
        assert_eq!(root_of(&[]), None);
        assert!(root_of(&[("CONVOKE_STATE_DIR", "here")]).unwrap().is_absolute());
    }

    #[test]
    fn what_is_remembered_is_private() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open_at(root.path(), &demo());
        assert_eq!((store.wanted(), store.source(), store.warning()), (None, None, None));
        store.set_wanted(Wanted::Up).unwrap();
        store.set_wanted(Wanted::Stopped).unwrap();
        let source = Source { files: vec!["/a/compose.yaml".into()], template: None };
        store.set_source(&source).unwrap();
        let again = Store::open_at(root.path(), &demo());
        assert_eq!((again.wanted(), again.source()), (Some(Wanted::Stopped), Some(source)));
        let mode = |path: &str| {
            let path = root.path().join("clusters/demo").join(path);
            path.metadata().unwrap().permissions().mode() & 0o777
        };
        assert_eq!((mode(""), mode("runs"), mode("wanted"), mode("source.json")), (0o700, 0o700, 0o600, 0o600));
    }

    #[test]
    fn a_state_directory_that_can_not_be_used_costs_a_warning() {
        // A file in the directory's place: permissions wouldn't stop root, who runs the tests in containers.
        let file = tempfile::NamedTempFile::new().unwrap();
        let store = Store::open_at(file.path(), &demo());
        let warning = store.warning().unwrap().replace(&file.path().display().to_string(), "DIR");
        insta::assert_snapshot!(warning, @"state directory DIR can't be written: Not a directory (os error 20); runs are not recorded, and two commands at once are not kept apart");
        store.set_wanted(Wanted::Up).unwrap();
        assert_eq!((store.wanted(), store.runs_dir()), (None, None));
        assert!(trial(file.path()).is_err());
    }

    #[test]
    fn a_trial_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        trial(root.path()).unwrap();
        trial(&root.path().join("not/yet")).unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn looking_for_folders_makes_none() {
        let root = tempfile::tempdir().unwrap();
        assert!(Store::find(root.path(), &demo()).is_none());
        assert!(Store::all(root.path()).is_empty());
        assert!(Store::open_at(root.path(), &demo()).warning().is_none());
        std::fs::create_dir(root.path().join("clusters/Not A Name")).unwrap();
        assert!(Store::find(root.path(), &demo()).unwrap().runs_dir().unwrap().is_dir());
        let names: Vec<String> = Store::all(root.path()).iter().map(|store| store.cluster().to_string()).collect();
        assert_eq!(names, ["demo"]);
    }

    #[test]
    fn rubbish_in_a_file_is_no_answer() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open_at(root.path(), &demo());
        std::fs::write(store.path("wanted").unwrap(), "sideways").unwrap();
        std::fs::write(store.path("source.json").unwrap(), "{").unwrap();
        assert_eq!((store.wanted(), store.source()), (None, None));
    }
}
