//! Carries a plan out: the driver.
//!
//! [`Driver`] is a pure step function: an [`Input`] and the time go in, [`Effect`]s come out. It owns everything that is
//! known of the run and does nothing by itself, so that thousands of schedules of crashes, lost events and failed calls
//! can be run against it in a second. [`shell`] is the thin loop that carries effects out against an engine.
//!
//! How it works: engine events are hints that a container should be looked at; inspecting it is the truth. After every
//! input each component's next call is decided anew from what is known, so lost, late and doubled events, calls that
//! failed after taking effect, and a convoke that was killed all end in the same place.

pub mod chaos;
pub mod driver;
pub mod explain;
pub mod input;
pub mod machine;
pub mod node;
pub mod pace;
pub mod recover;
pub mod shell;
pub mod stop;
pub mod supervise;

mod advance;
mod blame;
mod calls;
mod drift;
mod exits;
mod finish;
mod hooks;
mod images;
mod objects;
mod observe;
mod probing;
mod reconnect;
mod reload;
mod results;
mod retry;
mod rolling;
mod sharing;
mod stop_networks;
mod stop_order;
mod verdict;

#[cfg(test)]
mod tests;

pub use driver::{Driver, Options};
pub use input::{Call, Done, Effect, Feed, Input, Which};
pub use supervise::{Order, Want};
