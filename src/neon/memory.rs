//! The state of a control plane, kept on disk: every change is there before anybody hears of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::disk;
use super::state::State;

/// State and the file that it is in.
#[derive(Debug)]
pub struct Memory {
    file: PathBuf,
    state: Mutex<State>,
}

impl Memory {
    /// What the file holds; nothing if it isn't there.
    ///
    /// # Errors
    /// When it can't be read, or holds something else: then nothing is touched.
    pub fn load(file: &Path) -> io::Result<Self> {
        let state = match disk::read(file)? {
            None => State::default(),
            Some(text) => serde_json::from_slice(&text)
                .map_err(|error| io::Error::other(format!("{} isn't a state: {error}", file.display())))?,
        };
        Ok(Self { file: file.to_path_buf(), state: Mutex::new(state) })
    }

    /// A copy of it.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it, and keeps the change if `act` agrees and the disk takes it.
    ///
    /// # Errors
    /// What `act` says, or the disk.
    pub fn change<T, E: From<io::Error>>(&self, act: impl FnOnce(&mut State) -> Result<T, E>) -> Result<T, E> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = state.clone();
        let result = act(&mut changed)?;
        if changed != *state {
            let text = serde_json::to_vec_pretty(&changed).map_err(io::Error::other)?;
            disk::write(&self.file, &text, 0o600)?;
            *state = changed;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_there_after_a_restart_and_failed_ones_never() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("state.json");
        let memory = Memory::load(&file).unwrap();
        let tenant = "aaaa0000000000000000000000000001".parse().unwrap();
        memory
            .change(|state| {
                state.default_tenant = Some(tenant);
                Ok::<_, io::Error>(())
            })
            .unwrap();
        let failed: Result<(), io::Error> = memory.change(|state| {
            state.default_tenant = None;
            Err(io::Error::other("no"))
        });
        failed.unwrap_err();
        assert_eq!(memory.state().default_tenant, Some(tenant));
        assert_eq!(Memory::load(&file).unwrap().state(), memory.state());
        std::fs::write(&file, "{").unwrap();
        assert!(Memory::load(&file).unwrap_err().to_string().contains("isn't a state"));
    }

    #[test]
    fn what_the_disk_does_not_take_does_not_happen() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::load(&directory.path().join("state.json")).unwrap();
        drop(directory);
        let change: Result<(), io::Error> = memory.change(|state| {
            state.default_tenant = "aaaa0000000000000000000000000001".parse().ok();
            Ok(())
        });
        change.unwrap_err();
        assert_eq!(memory.state(), State::default());
    }
}
