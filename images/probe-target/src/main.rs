//! A small server whose behaviour at start-up is set by arguments: slow boots, early exits, peers looked up in its
//! first millisecond, signals ignored. See README.md beside this crate for the arguments.

mod check;
mod facts;
mod options;
mod peer;
mod serve;
mod signals;

use std::process::ExitCode;
use std::time::Instant;

use options::{Mode, Options, USAGE};

fn main() -> ExitCode {
    let start = Instant::now();
    match options::parse(std::env::args().skip(1)) {
        Ok(Mode::Help) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Mode::Env) => {
            facts::print_environment();
            ExitCode::SUCCESS
        }
        Ok(Mode::Check { port, path, hang }) => check::run(port, &path, hang),
        Ok(Mode::Serve(options)) => run(&options, start),
        Err(error) => {
            eprintln!("probe-target: {error}; see probe-target help");
            ExitCode::from(2)
        }
    }
}

/// Everything the server does, in the order of its README.
fn run(options: &Options, start: Instant) -> ExitCode {
    if let Err(error) = signals::handle(options.ignore_sigterm) {
        return failed(&format!("can't handle signals: {error}"));
    }
    for peer in &options.connect {
        peer::follow(peer.clone(), options.connect_retry, start);
    }
    if let Some((count, code)) = options.exit_first {
        match facts::count_start(&options.state) {
            Ok(n) if n <= count => {
                log(&format!("start {n} of {count} that exit with {code}"));
                return ExitCode::from(code);
            }
            Ok(n) => log(&format!("start {n}")),
            Err(error) => return failed(&error),
        }
    }
    for peer in &options.require {
        if let Err(error) = peer::require(peer) {
            return failed(&format!("required {peer}: {error}"));
        }
        log(&format!("required {peer}: connected"));
    }
    if let Err(error) = facts::show(options) {
        return failed(&error);
    }
    serve::run(options, start)
}

/// One line of the log, at once.
pub fn log(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // Nobody left to tell if standard output is gone.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Logs why the program gives up; exit code 1.
pub fn failed(why: &str) -> ExitCode {
    eprintln!("probe-target: {why}");
    ExitCode::FAILURE
}
