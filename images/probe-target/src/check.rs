//! `check`: a health check to be run inside the container.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use crate::{failed, log};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Exits 0 if `path` answers 200, else 1; with `hang`, never.
pub fn run(port: u16, path: &str, hang: bool) -> ExitCode {
    if hang {
        loop {
            std::thread::park();
        }
    }
    match status(port, path) {
        Ok(200) => {
            log("200");
            ExitCode::SUCCESS
        }
        Ok(status) => failed(&format!("{path} answered {status}")),
        Err(error) => failed(&format!("{path}: {error}")),
    }
}

fn status(port: u16, path: &str) -> Result<u16, String> {
    let address = ([127, 0, 0, 1], port).into();
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(|error| error.to_string())?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer).map_err(|error| error.to_string())?;
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| "not an http answer".to_owned())
}
