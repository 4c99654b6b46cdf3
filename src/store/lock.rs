//! Locks that keep two commands on one cluster apart, as a courtesy: correctness rests on unique names.
//!
//! They are the kernel's (`flock`), so a holder that is killed frees its lock by dying. Who holds one stands in the
//! file, for the other to show. The files are never removed: a removed file's lock would be held by nobody's rival.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::folder::{Store, open_private};
use crate::names::ClusterName;
use crate::units::human;

/// Time between attempts while another one holds the lock.
const ATTEMPT_EVERY: Duration = Duration::from_millis(50);

/// Who looks whether a lock is held holds it for a moment: so often, and so long each time, that is waited for.
const GLANCES: u32 = 3;
const GLANCE: Duration = Duration::from_millis(5);

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// What it does, such as `up`.
    pub command: String,
    /// Since when.
    pub since: Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Duration::try_from(Timestamp::now().duration_since(self.since)).unwrap_or_default();
        write!(f, "convoke {} (process {}, for {})", self.command, self.pid, human(held))
    }
}

/// Another command holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Locked {
    /// The cluster.
    pub cluster: ClusterName,
    /// Who holds it; None while it is just being taken.
    pub holder: Option<Holder>,
}

impl Locked {
    /// The process's exit code for it.
    pub const EXIT_CODE: u8 = 5;
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.holder {
            Some(holder) => write!(f, "{} is locked by {holder}", self.cluster),
            None => write!(f, "{} is locked by another run", self.cluster),
        }
    }
}

/// Holds a lock until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is free again as soon as this is dropped"]
pub struct Guard {
    /// None: the folder is degraded, and nothing is locked.
    file: Option<File>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Best effort: closing the file frees the lock, and its content counts only while the lock is held.
            let _ = file.set_len(0);
        }
    }
}

impl Store {
    /// Takes the lock for commands that change the cluster. If another one holds it: with `wait`, says so once through
    /// `on_wait` and waits for as long as it takes (drop the future to give up), else fails.
    ///
    /// Where the lock can't be taken for any other reason, the guard is empty: the run goes on.
    ///
    /// # Errors
    /// When another command holds the lock and `wait` is false.
    pub async fn lock_actions(
        &self,
        command: &str,
        wait: bool,
        on_wait: impl FnOnce(&Locked) + Send,
    ) -> Result<Guard, Locked> {
        let mut on_wait = Some(on_wait);
        let mut glances = GLANCES;
        loop {
            match self.try_lock("actions.lock", command) {
                // Somebody just looked who has it, or is about to say so.
                Err(locked) if locked.holder.is_none() && glances > 0 => {
                    glances -= 1;
                    tokio::time::sleep(GLANCE).await;
                }
                Err(locked) if wait => {
                    if let Some(on_wait) = on_wait.take() {
                        on_wait(&locked);
                    }
                    tokio::time::sleep(ATTEMPT_EVERY).await;
                }
                taken_or_not => return taken_or_not,
            }
        }
    }

    /// Takes the lock of the one that supervises the cluster.
    ///
    /// # Errors
    /// When another one supervises it.
    pub fn lock_supervisor(&self, command: &str) -> Result<Guard, Locked> {
        self.try_lock("supervisor.lock", command)
    }

    /// Who supervises the cluster now; None: nobody does.
    #[must_use]
    pub fn supervisor(&self) -> Option<Holder> {
        self.holder("supervisor.lock")
    }

    /// Who changes the cluster now; None: nobody does.
    #[must_use]
    pub fn actor(&self) -> Option<Holder> {
        self.holder("actions.lock")
    }

    fn holder(&self, name: &str) -> Option<Holder> {
        let path = self.path(name).filter(|path| path.exists())?;
        let file = File::open(path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read_holder(&file),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    fn try_lock(&self, name: &str, command: &str) -> Result<Guard, Locked> {
        let Some(path) = self.path(name) else {
            return Ok(Guard { file: None });
        };
        match take(&path, command) {
            Ok(Some(file)) => Ok(Guard { file: Some(file) }),
            Ok(None) => {
                let holder = File::open(&path).ok().and_then(|file| read_holder(&file));
                Err(Locked { cluster: self.cluster().clone(), holder })
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "can't lock, going on without");
                Ok(Guard { file: None })
            }
        }
    }
}

/// Takes the lock of a file and writes down who has it. None: another one has it.
fn take(path: &Path, command: &str) -> std::io::Result<Option<File>> {
    let mut file = open_private(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let holder = Holder { pid: std::process::id(), command: command.to_owned(), since: Timestamp::now() };
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(&holder)?)?;
    Ok(Some(file))
}

fn read_holder(mut file: &File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    fn store(root: &Path) -> Store {
        Store::open_at(root, &ClusterName::new("demo").unwrap())
    }

    #[tokio::test]
    async fn the_second_is_told_who_holds_it() {
        let root = tempfile::tempdir().unwrap();
        let guard = store(root.path()).lock_actions("up", false, |_| ()).await.unwrap();
        let locked = store(root.path()).lock_actions("down", false, |_| ()).await.unwrap_err();
        let holder = locked.holder.clone().unwrap();
        assert_eq!((holder.pid, holder.command.as_str()), (std::process::id(), "up"));
        let text = locked.to_string();
        assert!(text.starts_with("demo is locked by convoke up (process "), "{text}");
        drop(guard);
        let _guard = store(root.path()).lock_actions("down", false, |_| ()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_one_says_so_once_and_can_be_cancelled() {
        let root = tempfile::tempdir().unwrap();
        let guard = store(root.path()).lock_actions("up", false, |_| ()).await.unwrap();
        let mut told = 0;
        let second = store(root.path());
        let waiting = second.lock_actions("down", true, |_| told += 1);
        assert!(tokio::time::timeout(Duration::from_secs(1), waiting).await.is_err());
        assert_eq!(told, 1);
        let free = async {
            tokio::time::sleep(Duration::from_millis(120)).await;
            drop(guard);
        };
        let (taken, ()) = tokio::join!(second.lock_actions("down", true, |_| ()), free);
        assert!(taken.is_ok());
    }

    #[tokio::test]
    async fn actions_and_supervision_are_apart() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path());
        assert_eq!(store.supervisor(), None);
        let supervising = store.lock_supervisor("supervise").unwrap();
        assert_eq!(store.actor(), None);
        let _acting = store.lock_actions("up", false, |_| ()).await.unwrap();
        assert_eq!(store.supervisor().unwrap().command, "supervise");
        assert_eq!(store.actor().unwrap().command, "up");
        assert!(store.lock_supervisor("supervise").is_err());
        drop(supervising);
        assert_eq!(store.supervisor(), None);
    }

    #[tokio::test]
    async fn a_degraded_folder_locks_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let _one = store(file.path()).lock_actions("up", false, |_| ()).await.unwrap();
        let _two = store(file.path()).lock_actions("up", false, |_| ()).await.unwrap();
    }

    /// Not a test of its own: the other process of the next one.
    #[tokio::test]
    async fn hold_until_killed() {
        let Some(root) = std::env::var_os("CONVOKE_TEST_HOLD") else {
            return;
        };
        let _guard = store(Path::new(&root)).lock_actions("up", false, |_| ()).await.unwrap();
        println!("holding");
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_killed_holder_frees_its_lock() {
        let root = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::lock::tests::hold_until_killed", "--nocapture"])
            .env("CONVOKE_TEST_HOLD", root.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("holding")));
        let locked = store(root.path()).lock_actions("down", false, |_| ()).await.unwrap_err();
        assert_eq!(locked.holder.unwrap().pid, child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        let _guard = store(root.path()).lock_actions("down", false, |_| ()).await.unwrap();
    }
}
