//! The variables that files may refer to: those of the process over those of environment files.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::env_file;
use super::interpolate::Variables;
use super::read::read_text;

/// Variables that files may refer to, and what is wrong with the files that they come from.
#[derive(Clone, Default)]
pub struct Environment {
    variables: Variables,
    /// Whether `.env` files are looked for: not if others are named, or if that is switched off.
    reads_dot_env: bool,
    /// The directory whose `.env` has been read.
    read: Option<PathBuf>,
    /// The files that were looked for, there or not.
    files: Vec<PathBuf>,
    problems: Diagnostics,
}

/// The variables of one file, in its order. Those that it refers to are `known`; one without a value is left out where
/// it isn't among them.
///
/// # Errors
/// When it can't be read or understood.
pub fn variables_of(file: &Path, known: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, Diagnostics> {
    let mut problems = Diagnostics::new();
    let name = file.display().to_string();
    let text = read_text(file).unwrap_or_else(|error| {
        problems.push(Diagnostic::error_without_place(format!("the env file {name} can't be read: {error}")));
        String::new()
    });
    let entries = env_file::parse(&name, &text, known, &mut problems);
    let (entries, _) = problems.unless_errors(entries)?;
    Ok(entries.into_iter().filter_map(|(key, value)| Some((key, value.value?))).collect())
}

impl Environment {
    /// The process's variables over those of `files`, relative to `directory`, of which later ones win.
    /// `COMPOSE_ENV_FILES` names the files if none is given here.
    #[must_use]
    pub fn new(process: BTreeMap<String, String>, directory: &Path, files: &[PathBuf]) -> Self {
        let named = process.get("COMPOSE_ENV_FILES").map(|names| names.split(',').filter(|name| !name.is_empty()));
        let files = match (files, named) {
            ([], Some(named)) => named.map(PathBuf::from).collect(),
            (files, _) => files.to_vec(),
        };
        let disabled =
            process.get("COMPOSE_DISABLE_ENV_FILE").is_some_and(|value| matches!(value.as_str(), "1" | "true"));
        let mut this = Self { reads_dot_env: files.is_empty() && !disabled, ..Self::default() };
        let mut entries = Variables::new();
        for file in &files {
            this.add_file(&file.display().to_string(), &directory.join(file), &process, &mut entries, true);
        }
        this.variables = entries;
        this.variables.extend(process);
        this
    }

    /// With what is in `.env` of this directory besides: that which a Compose file is looked for from. That of the
    /// project's directory comes later by itself.
    #[must_use]
    pub fn with_dot_env(mut self, directory: &Path) -> Self {
        self.add_dot_env(directory);
        self
    }

    /// Variables alone: no `.env` is looked for.
    #[must_use]
    pub fn fixed(variables: BTreeMap<String, String>) -> Self {
        Self { variables, ..Self::default() }
    }

    /// The value of a variable, an empty one counting as none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Adds what is in `.env` of the directory, unless files are named. What is there already wins.
    pub(super) fn add_dot_env(&mut self, directory: &Path) {
        if !self.reads_dot_env || self.read.as_deref() == Some(directory) {
            return;
        }
        let mut entries = Variables::new();
        let known = self.variables.clone();
        self.add_file(".env", &directory.join(".env"), &known, &mut entries, false);
        for (key, value) in entries {
            self.variables.entry(key).or_insert(value);
        }
        self.read = Some(directory.to_owned());
    }

    /// Adds what is in the files, later ones winning over earlier ones and what is there already over all: for a file
    /// that is included.
    pub(super) fn add_files(&mut self, files: &[(String, PathBuf)]) {
        let mut entries = Variables::new();
        let known = self.variables.clone();
        for (name, path) in files {
            self.add_file(name, path, &known, &mut entries, true);
        }
        for (key, value) in entries {
            self.variables.entry(key).or_insert(value);
        }
    }

    fn add_file(&mut self, name: &str, path: &Path, known: &Variables, entries: &mut Variables, required: bool) {
        self.files.push(path.to_owned());
        match read_text(path) {
            Ok(text) => {
                // A later file may refer to an earlier one's variables.
                let mut known = known.clone();
                for (key, value) in &*entries {
                    known.entry(key.clone()).or_insert_with(|| value.clone());
                }
                for (key, value) in env_file::parse(name, &text, &known, &mut self.problems) {
                    entries.extend(value.value.map(|value| (key, value)));
                }
            }
            // A directory called .env holds Python's environment.
            Err(error) if !required && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => {}
            Err(error) => {
                let message = format!("the env file {name} can't be read: {error}");
                self.problems.push(Diagnostic::error_without_place(message));
            }
        }
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(super) fn take_problems(&mut self) -> Diagnostics {
        std::mem::take(&mut self.problems)
    }

    pub(super) const fn variables(&self) -> &Variables {
        &self.variables
    }

    pub(super) fn into_variables(self) -> Variables {
        self.variables
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        self.variables.insert(name.to_owned(), value);
    }

    /// Profiles that are switched on: those given, or else those of `COMPOSE_PROFILES`.
    pub(super) fn profiles(&self, given: &[String]) -> Vec<String> {
        let of_variable = || self.get("COMPOSE_PROFILES").unwrap_or_default().split(',').map(str::trim);
        let named = if given.is_empty() { of_variable().map(str::to_owned).collect() } else { given.to_vec() };
        named.into_iter().filter(|name| !name.is_empty()).collect()
    }
}

impl From<BTreeMap<String, String>> for Environment {
    /// The process's variables; `.env` files are looked for beside Compose files.
    fn from(variables: BTreeMap<String, String>) -> Self {
        Self { variables, reads_dot_env: true, ..Self::default() }
    }
}

impl fmt::Debug for Environment {
    /// Without the variables, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_process_wins_then_later_files() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a.env"), "A=a\nB=a\nC=a\n").unwrap();
        std::fs::write(root.path().join("b.env"), "B=b\nC=${A}+${D}\n").unwrap();
        std::fs::write(root.path().join(".env"), "E=dot\n").unwrap();
        let files = ["a.env".into(), "b.env".into()];
        let mut env = Environment::new(variables(&[("A", "process"), ("D", "d")]), root.path(), &files);
        assert_eq!([env.get("A"), env.get("B"), env.get("C")], [Some("process"), Some("b"), Some("process+d")]);
        assert_eq!(env.get("E"), None);
        assert!(env.take_problems().is_empty());
        let named = variables(&[("COMPOSE_ENV_FILES", "a.env,b.env")]);
        assert_eq!(Environment::new(named, root.path(), &[]).get("B"), Some("b"));
    }

    #[test]
    fn the_nearer_dot_env_wins() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("sub")).unwrap();
        std::fs::write(root.path().join(".env"), "A=here\n").unwrap();
        std::fs::write(root.path().join("sub/.env"), "A=there\nB=there\n").unwrap();
        let mut env = Environment::new(BTreeMap::new(), root.path(), &[]).with_dot_env(root.path());
        env.add_dot_env(&root.path().join("sub"));
        assert_eq!([env.get("A"), env.get("B")], [Some("here"), Some("there")]);
        let off = variables(&[("COMPOSE_DISABLE_ENV_FILE", "1")]);
        assert_eq!(Environment::new(off, root.path(), &[]).with_dot_env(root.path()).get("A"), None);
    }

    #[test]
    fn a_named_file_must_be_there() {
        let mut env = Environment::new(BTreeMap::new(), Path::new("/nowhere"), &["a.env".into()]);
        assert!(env.take_problems().to_string().contains("the env file a.env can't be read"));
    }
}
