//! The program in the background.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Ran;

const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs, with its output so far. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    begun: Instant,
    out: Collected,
    err: Collected,
}

impl Running {
    /// Starts a command.
    pub(crate) fn begin(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = Collected::from(child.stdout.take().unwrap());
        let err = Collected::from(child.stderr.take().unwrap());
        Self { child, begun: Instant::now(), out, err }
    }

    /// Time since it was started.
    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether it hasn't ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    pub(crate) fn so_far(&self) -> String {
        format!("{}{}", self.out.text(), self.err.text())
    }

    /// Waits until it has written this.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.so_far().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}) without saying {text:?}:\n{}", self.so_far());
            assert!(self.age() < PATIENCE, "{text:?} isn't said within {PATIENCE:?}:\n{}", self.so_far());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends it a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "it had ended before {name}:\n{}", self.so_far());
    }

    /// Kills it at once, as `kill -9` does; it may have ended already.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(self) -> Ran {
        self.end_within(PATIENCE)
    }

    /// Waits for its end, so long at most from now on.
    #[track_caller]
    pub(crate) fn end_within(mut self, limit: Duration) -> Ran {
        let asked = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(asked.elapsed() < limit, "it doesn't end within {limit:?}:\n{}", self.so_far());
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = self.age();
        self.out.finish();
        self.err.finish();
        Ran { code: code(status), out: self.out.text(), err: self.err.text(), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago: nothing to do then.
        if self.child.kill().is_ok() {
            _ = self.child.wait();
        }
    }
}

/// The exit code, or 128 and the signal as shells have it.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A stream that is read as it comes.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn from(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = bytes.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                into.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}
