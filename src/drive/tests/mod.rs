//! The driver against the simulated engine, under a paused clock.

mod answers;
mod chaos;
mod economy;
mod exits;
mod harness;
mod hooks;
mod images;
mod killed;
mod labelled;
mod policies;
mod random;
mod reattach;
mod recreated;
mod rolling;
mod sharing;
mod start;
mod stopping;
mod supervised;
mod supervised_engine;
mod supervised_orders;
mod trouble;
mod vigil;
