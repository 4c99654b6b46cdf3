//! How a program ends: with a code and the reason.

use std::process::ExitCode;

/// Why a program gave up. Errors from anywhere become code 1.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub why: anyhow::Error,
}

impl Failure {
    /// Code 2: the program was called wrongly.
    pub fn usage(why: impl Into<String>) -> Self {
        Self { code: 2, why: anyhow::Error::msg(why.into()) }
    }

    /// Code 101: where the real program panics.
    pub fn panic(why: impl Into<String>) -> Self {
        Self { code: 101, why: anyhow::Error::msg(why.into()) }
    }

    /// Says why, on standard error as the real programs do.
    pub fn report(&self) -> ExitCode {
        eprintln!("Error: {:#}", self.why);
        ExitCode::from(self.code)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: 1, why: error.into() }
    }
}
