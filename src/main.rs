//! The `convoke` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    convoke::cli::run::main()
}
