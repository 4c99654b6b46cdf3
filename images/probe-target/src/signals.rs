//! SIGTERM and SIGINT, which PID 1 must ask for: the kernel gives it no default action.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::log;

/// Exits 0 on either signal, from a thread of its own; with `ignore`, only logs it.
///
/// # Errors
/// When the handlers can't be installed.
pub fn handle(ignore: bool) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
            if ignore {
                log(&format!("{name} ignored"));
            } else {
                log(&format!("{name}: stopping"));
                std::process::exit(0);
            }
        }
    });
    Ok(())
}
