//! Handles of processes: a number may be given anew to another process, a handle stays that of the one it was opened for.

use std::io;
use std::os::fd::OwnedFd;

/// A handle of the process with this number. It becomes readable when the process ends.
#[cfg(target_os = "linux")]
pub(super) fn open(pid: i32) -> io::Result<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Asks the process to end.
#[cfg(target_os = "linux")]
pub(super) fn terminate(process: &OwnedFd) -> io::Result<()> {
    Ok(rustix::process::pidfd_send_signal(process, rustix::process::Signal::TERM)?)
}

/// Only Linux has them.
#[cfg(not(target_os = "linux"))]
pub(super) fn open(_: i32) -> io::Result<OwnedFd> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Only Linux has them.
#[cfg(not(target_os = "linux"))]
pub(super) fn terminate(_: &OwnedFd) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
