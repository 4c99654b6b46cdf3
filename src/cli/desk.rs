//! Who stands between a supervised run and the rest: other commands by way of the cluster's folder, and the files that
//! describe the cluster.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::drive::shell::Desk;
use crate::drive::{Order, Want};
use crate::store::{Guard, Store, Wanted};

/// An editor writes a file in several steps: so long nothing more must happen before it is read.
const QUIET: Duration = Duration::from_millis(150);
/// Files that change without end are read so often all the same.
const AT_MOST: Duration = Duration::from_secs(2);

/// The desk of one supervised run.
pub(super) struct CliDesk {
    store: Store,
    sender: UnboundedSender<Order>,
    orders: UnboundedReceiver<Order>,
    guard: Arc<Mutex<Option<Guard>>>,
}

impl CliDesk {
    pub(super) fn new(store: &Store) -> Self {
        let (sender, orders) = unbounded_channel();
        Self { store: store.clone(), sender, orders, guard: Arc::default() }
    }

    /// Where orders go.
    pub(super) fn sender(&self) -> UnboundedSender<Order> {
        self.sender.clone()
    }
}

impl Desk for CliDesk {
    /// Takes the cluster's lock. What is wanted is read only then: whoever had the lock may have changed it.
    fn ask_leave(&mut self) {
        let (store, sender, slot) = (self.store.clone(), self.sender.clone(), self.guard.clone());
        tokio::spawn(async move {
            let refuse = |locked: &crate::store::Locked| {
                let holder = locked.holder.as_ref().map_or_else(|| "another run".to_owned(), ToString::to_string);
                _ = sender.send(Order::Leave(Err(holder)));
            };
            let Ok(guard) = store.lock_actions("supervise", true, refuse).await else { return };
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
            _ = sender.send(wanted(&store));
            _ = sender.send(Order::Leave(Ok(())));
        });
    }

    fn give_back(&mut self) {
        drop(self.guard.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    async fn next(&mut self) -> Order {
        match self.orders.recv().await {
            Some(order) => order,
            // It has a sender itself.
            None => std::future::pending().await,
        }
    }
}

/// What the cluster's folder says is wanted.
pub(super) fn wanted(store: &Store) -> Order {
    let rest = match store.wanted() {
        Some(Wanted::Down) => return Order::End("the cluster was taken down".to_owned()),
        Some(Wanted::Stopped) => Some("it is stopped; `convoke start` starts it".to_owned()),
        Some(Wanted::Up) | None => None,
    };
    Order::Want(Want { rest, stopped: store.stopped() })
}

/// Watches some files, by way of their folders: an editor puts a new file in the place of the old one.
pub(super) struct Files {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    changed: UnboundedReceiver<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Files {
    /// A watch on nothing yet.
    pub(super) fn new() -> notify::Result<Self> {
        let (sender, changed) = unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for path in event.into_iter().filter(|event| is_change(&event.kind)).flat_map(|event| event.paths) {
                // The run may be over: nobody wants to know then.
                _ = sender.send(path);
            }
        })?;
        Ok(Self { watcher, folders: BTreeSet::new(), changed, files: BTreeSet::new() })
    }

    /// Watches these files, there or not, and no others. A folder that can't be watched is told.
    pub(super) fn watch(&mut self, files: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
        self.files = files.into_iter().flat_map(|file| places(&file)).collect();
        let wanted: BTreeSet<PathBuf> = self.files.iter().filter_map(|file| Some(file.parent()?.to_owned())).collect();
        for gone in self.folders.difference(&wanted) {
            // One that was removed isn't watched any more anyway.
            _ = self.watcher.unwatch(gone);
        }
        let mut problems = Vec::new();
        let mut watched: BTreeSet<PathBuf> = self.folders.intersection(&wanted).cloned().collect();
        for new in wanted.difference(&self.folders) {
            match self.watcher.watch(new, RecursiveMode::NonRecursive) {
                Ok(()) => _ = watched.insert(new.clone()),
                Err(error) => problems.push(format!("changes in {} aren't noticed: {error}", new.display())),
            }
        }
        self.folders = watched;
        problems
    }

    /// Waits until one of them changed and all has been quiet for a moment.
    pub(super) async fn change(&mut self) {
        loop {
            match self.changed.recv().await {
                Some(path) if self.files.contains(&path) => break,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
        let quiet = async { while let Ok(Some(_)) = tokio::time::timeout(QUIET, self.changed.recv()).await {} };
        _ = tokio::time::timeout(AT_MOST, quiet).await;
    }
}

/// The file by its own path, and where its folder and itself really are.
fn places(file: &Path) -> Vec<PathBuf> {
    let own = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = own.parent().and_then(|folder| folder.canonicalize().ok());
    let in_folder = folder.zip(own.file_name()).map(|(folder, name)| folder.join(name));
    [Some(own.clone()), in_folder, own.canonicalize().ok()].into_iter().flatten().collect()
}

fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// Tells the run whenever another command says what is wanted. None: it can't be watched, and is read only when the run
/// has something to do.
pub(super) fn follow_wanted(store: &Store, sender: UnboundedSender<Order>) -> Option<tokio::task::JoinHandle<()>> {
    let mut files = match Files::new() {
        Ok(files) => files,
        Err(error) => {
            tracing::warn!(%error, "the wanted state can't be watched");
            return None;
        }
    };
    let problems = files.watch(store.wanted_files());
    if !problems.is_empty() {
        tracing::warn!(?problems, "the wanted state can't be watched");
        return None;
    }
    let store = store.clone();
    Some(tokio::spawn(async move {
        loop {
            // Read once before the first change: one may have happened before the watch was there.
            if sender.send(wanted(&store)).is_err() {
                return;
            }
            files.one_change().await;
        }
    }))
}

impl Files {
    /// Waits until one of them changed: for files that are replaced as a whole.
    async fn one_change(&mut self) {
        while let Some(path) = self.changed.recv().await {
            if self.files.contains(&path) {
                return;
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Within a second, by the real clock: the kernel tells.
    async fn is_told(files: &mut Files) -> bool {
        tokio::time::timeout(Duration::from_secs(3), files.change()).await.is_ok()
    }

    #[tokio::test]
    async fn files_are_followed_through_what_editors_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.yaml"), "1").unwrap();
        let mut files = Files::new().unwrap();
        assert!(files.watch([path("a.yaml"), path("later.env")]).is_empty());
        std::fs::write(path("a.yaml"), "2").unwrap();
        assert!(is_told(&mut files).await, "written in place");
        std::fs::write(path("a.yaml.swp"), "3").unwrap();
        std::fs::rename(path("a.yaml.swp"), path("a.yaml")).unwrap();
        assert!(is_told(&mut files).await, "replaced");
        std::fs::write(path("later.env"), "A=1").unwrap();
        assert!(is_told(&mut files).await, "made");
        std::fs::remove_file(path("later.env")).unwrap();
        assert!(is_told(&mut files).await, "removed");
        std::fs::write(path("other"), "x").unwrap();
        std::fs::read(path("a.yaml")).unwrap();
        let nothing = tokio::time::timeout(Duration::from_millis(300), files.change()).await;
        assert!(nothing.is_err(), "neither another file nor reading counts");
    }

    #[tokio::test]
    async fn a_link_is_followed_to_where_the_file_is() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let real = elsewhere.path().join("real.yaml");
        std::fs::write(&real, "1").unwrap();
        std::os::unix::fs::symlink(&real, folder.path().join("compose.yaml")).unwrap();
        let mut files = Files::new().unwrap();
        assert!(files.watch([folder.path().join("compose.yaml")]).is_empty());
        std::fs::write(&real, "2").unwrap();
        assert!(is_told(&mut files).await);
    }

    #[tokio::test]
    async fn what_is_wanted_is_told_when_it_changes() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open_at(root.path(), &crate::names::ClusterName::new("demo").unwrap());
        let (sender, mut orders) = unbounded_channel();
        let following = follow_wanted(&store, sender).unwrap();
        let first = orders.recv().await.unwrap();
        assert!(matches!(first, Order::Want(Want { rest: None, .. })));
        store.set_wanted(Wanted::Stopped).unwrap();
        let next = async {
            loop {
                if let Some(Order::Want(Want { rest: Some(why), .. })) = orders.recv().await {
                    return why;
                }
            }
        };
        let why = tokio::time::timeout(Duration::from_secs(3), next).await.unwrap();
        assert!(why.contains("convoke start"), "{why}");
        store.set_wanted(Wanted::Down).unwrap();
        let end = async { while !matches!(orders.recv().await, Some(Order::End(_))) {} };
        tokio::time::timeout(Duration::from_secs(3), end).await.unwrap();
        following.abort();
    }

    #[tokio::test]
    async fn leave_is_the_cluster_s_lock() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open_at(root.path(), &crate::names::ClusterName::new("demo").unwrap());
        let mut desk = CliDesk::new(&store);
        let held = store.lock_actions("restart", false, |_| ()).await.unwrap();
        desk.ask_leave();
        let Order::Leave(Err(holder)) = desk.next().await else { panic!("not refused") };
        assert!(holder.starts_with("convoke restart (process "), "{holder}");
        drop(held);
        assert!(matches!(desk.next().await, Order::Want(_)));
        assert!(matches!(desk.next().await, Order::Leave(Ok(()))));
        assert_eq!(store.actor().unwrap().command, "supervise");
        desk.give_back();
        assert_eq!(store.actor(), None);
    }
}
