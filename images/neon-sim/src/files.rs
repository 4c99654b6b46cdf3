//! State on disk: small JSON files, and the lock that keeps a second program out of a directory.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Result};
use std::path::Path;

use anyhow::{Context, anyhow};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whole or not at all, even if the program dies meanwhile.
pub fn write_json<T: Serialize>(file: &Path, value: &T) -> Result<()> {
    write(file, &serde_json::to_vec_pretty(value)?)
}

/// The same for any content.
pub fn write(file: &Path, content: &[u8]) -> Result<()> {
    let mut temporary = file.to_path_buf();
    temporary.as_mut_os_string().push(".temp");
    fs::write(&temporary, content)?;
    fs::rename(&temporary, file)
}

pub fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

/// Names in a directory; none if there is no such directory.
pub fn names(directory: &Path) -> Result<Vec<String>> {
    match fs::read_dir(directory) {
        Ok(entries) => {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>>>()
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Fine if it isn't there.
pub fn remove_dir(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Holds a pid file for as long as the program runs, which is for as long as the file isn't dropped.
pub fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("can't open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(anyhow!("{} is locked by another program", path.display())),
        Err(TryLockError::Error(error)) => return Err(error).context("can't lock"),
    }
    fs::write(path, std::process::id().to_string())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_program() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program.pid");
        let first = lock(&path).unwrap();
        assert!(lock(&path).is_err());
        drop(first);
        assert!(lock(&path).is_ok());
    }
}
