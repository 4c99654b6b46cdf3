//! What was broken on purpose and isn't healed yet.

use super::folder::{Store, StoreError, open_private};
use crate::drive::chaos::Breakage;

const FILE: &str = "chaos.json";

impl Store {
    /// What is noted as broken. A file that can't be read counts as none: the engine still shows most of it.
    #[must_use]
    pub fn breakages(&self) -> Vec<Breakage> {
        let Some(path) = self.path(FILE) else { return Vec::new() };
        let Ok(text) = std::fs::read(&path) else { return Vec::new() };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "can't read what was broken");
            Vec::new()
        })
    }

    /// Changes the notes of what is broken, one process at a time. The file is gone when nothing is.
    ///
    /// # Errors
    /// When it can't be written. A degraded folder takes it silently: it warned before.
    pub fn change_breakages(&self, change: impl FnOnce(&mut Vec<Breakage>)) -> Result<(), StoreError> {
        let (Some(lock), Some(path)) = (self.path("chaos.lock"), self.path(FILE)) else { return Ok(()) };
        let error = |error| self.error("write", FILE, error);
        // Held for the time of a read and a write.
        let guard = open_private(&lock).and_then(|file| file.lock().map(|()| file)).map_err(error)?;
        let before = self.breakages();
        let mut notes = before.clone();
        change(&mut notes);
        let written = if notes.is_empty() {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.error("remove", FILE, error)),
                _ => Ok(()),
            }
        } else if notes == before {
            Ok(())
        } else {
            let text = serde_json::to_vec_pretty(&notes).map_err(|error| self.error("write", FILE, error.into()))?;
            self.replace(FILE, &text)
        };
        drop(guard);
        written
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::drive::chaos::Fault;
    use crate::names::{ClusterName, ContainerId};

    fn breakage(component: &str, fault: Fault) -> Breakage {
        Breakage {
            component: component.parse().unwrap(),
            container: ContainerId::new("0123456789abcdef").unwrap(),
            fault,
            since: Timestamp::UNIX_EPOCH,
            was_up: true,
            networks: Vec::new(),
        }
    }

    #[test]
    fn notes_are_kept_until_they_are_taken_out() {
        let root = tempfile::tempdir().unwrap();
        let cluster = ClusterName::new("demo").unwrap();
        let store = Store::open_at(root.path(), &cluster);
        assert_eq!(store.breakages(), []);
        let (one, two) = (breakage("db", Fault::Kill), breakage("web", Fault::Partition));
        store.change_breakages(|notes| notes.push(one.clone())).unwrap();
        Store::open_at(root.path(), &cluster).change_breakages(|notes| notes.push(two.clone())).unwrap();
        assert_eq!(store.breakages(), [one, two]);
        store.change_breakages(Vec::clear).unwrap();
        assert!(!root.path().join("clusters/demo/chaos.json").exists());
        store.change_breakages(Vec::clear).unwrap();
    }

    #[test]
    fn rubbish_counts_as_nothing_and_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open_at(root.path(), &ClusterName::new("demo").unwrap());
        std::fs::write(root.path().join("clusters/demo/chaos.json"), "{").unwrap();
        assert_eq!(store.breakages(), []);
        store.change_breakages(|notes| notes.push(breakage("db", Fault::Stop))).unwrap();
        assert_eq!(store.breakages().len(), 1);
    }

    #[test]
    fn at_the_same_time_none_is_lost() {
        let root = tempfile::tempdir().unwrap();
        let cluster = ClusterName::new("demo").unwrap();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (root, cluster) = (root.path(), &cluster);
                scope.spawn(move || {
                    let store = Store::open_at(root, cluster);
                    store.change_breakages(|notes| notes.push(breakage(&format!("c{n}"), Fault::Kill))).unwrap();
                });
            }
        });
        assert_eq!(Store::open_at(root.path(), &cluster).breakages().len(), 8);
    }
}
