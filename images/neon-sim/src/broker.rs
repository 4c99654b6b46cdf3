//! The broker.

use std::sync::Arc;

use clap::Parser;

use crate::exit::Failure;
use crate::fault::Faults;

/// Flags of the real program.
#[derive(Debug, Parser)]
#[command(version = crate::VERSION)]
pub struct Options {}

/// Runs until a signal ends it.
pub async fn run(_options: Options, _faults: Arc<Faults>) -> Result<(), Failure> {
    Err(Failure::usage("not written yet"))
}
