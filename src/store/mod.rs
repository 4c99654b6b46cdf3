//! A cluster's folder in the user's state directory: locks, the wanted state, run records.
//!
//! Nothing here is needed for correctness: the engine is the truth, and a folder that is lost or can't be written costs
//! a warning, the records, and the courtesy of locks. Folders are 0700, files 0600.
//!
//! ```text
//! $CONVOKE_STATE_DIR, or $XDG_STATE_HOME/convoke, or ~/.local/state/convoke
//!   clusters/<cluster>/
//!     actions.lock     held while a command changes the cluster; holds who does
//!     supervisor.lock  held by the one that supervises it
//!     wanted           up, stopped or down
//!     chaos.json       what was broken on purpose; chaos.lock is held while it changes
//!     stopped.json     components that were stopped by their names
//!     source.json      the files that the cluster was last started from
//!     runs/<run>.jsonl
//! ```

mod breakages;
mod folder;
mod lock;

pub use folder::{Source, Store, StoreError, Wanted, state_root};
pub use lock::{Guard, Holder, Locked};
