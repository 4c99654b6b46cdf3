//! A socket between the program and the engine, for what a real engine doesn't do on request: fall silent, go away, and
//! come back.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use super::with_engine;

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It is passed on.
    Forward,
    /// Connections are taken, and nothing is ever answered.
    Silent,
    /// Connections are closed, as by an engine that isn't there.
    Gone,
}

/// A socket that stands for the engine's.
pub(crate) struct Proxy {
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    engine: String,
    mode: Mutex<Mode>,
    /// A request with this text makes it fall silent.
    last_words: Option<&'static str>,
    /// Texts of the same length for others, on both ways.
    altered: Vec<(String, String)>,
    open: Mutex<Vec<UnixStream>>,
    /// All that the program sent.
    sent: Mutex<Vec<u8>>,
}

impl Proxy {
    /// Passes everything on, until told otherwise.
    pub(crate) fn new() -> Self {
        Self::begin(Mode::Forward, None)
    }

    /// Never answers anything.
    pub(crate) fn silent() -> Self {
        Self::begin(Mode::Silent, None)
    }

    /// Passes everything on until a request has this text in its head; neither that nor anything later is answered.
    pub(crate) fn silent_from(text: &'static str) -> Self {
        Self::begin(Mode::Forward, Some(text))
    }

    /// Passes everything on with these texts replaced, each by one of the same length.
    pub(crate) fn altering(altered: &[(&str, &str)]) -> Self {
        assert!(altered.iter().all(|(from, to)| from.len() == to.len()), "{altered:?}");
        let own = altered.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        Self::start(Mode::Forward, None, own)
    }

    fn begin(mode: Mode, last_words: Option<&'static str>) -> Self {
        Self::start(mode, last_words, Vec::new())
    }

    fn start(mode: Mode, last_words: Option<&'static str>, altered: Vec<(String, String)>) -> Self {
        let address = with_engine(async |engine| engine.known_info().address.clone());
        let engine = address.strip_prefix("unix://").expect("these tests need an engine at a socket").to_owned();
        let shared = Arc::new(Shared {
            engine,
            mode: Mutex::new(mode),
            last_words,
            altered,
            open: Mutex::default(),
            sent: Mutex::default(),
        });
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("engine.sock")).unwrap();
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accepting.accept(client);
            }
        });
        Self { folder, shared }
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("engine.sock").display())
    }

    /// The values of a header in the requests whose first line begins like this.
    pub(crate) fn headers(&self, request: &str, header: &str) -> Vec<String> {
        let sent = self.shared.sent.lock().unwrap();
        let text = String::from_utf8_lossy(&sent);
        let heads = text.match_indices(request).map(|(at, _)| text[at..].split("\r\n\r\n").next().unwrap_or_default());
        let value = |head: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, value)| value.to_owned())
        };
        heads.filter_map(value).collect()
    }

    /// From now on nothing is answered.
    pub(crate) fn fall_silent(&self) {
        self.shared.set(Mode::Silent);
    }

    /// From now on connections are closed, those that there are at once.
    pub(crate) fn go_away(&self) {
        self.shared.set(Mode::Gone);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// From now on everything is passed on again.
    pub(crate) fn come_back(&self) {
        self.shared.set(Mode::Forward);
    }
}

impl Shared {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    fn accept(self: &Arc<Self>, client: UnixStream) {
        match self.mode() {
            Mode::Gone => {}
            Mode::Silent => self.open.lock().unwrap().push(client),
            Mode::Forward => {
                let engine = UnixStream::connect(&self.engine).unwrap();
                self.open.lock().unwrap().extend([client.try_clone().unwrap(), engine.try_clone().unwrap()]);
                let (to_client, to_engine) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
                self.clone().copy(client, to_engine, true);
                self.clone().copy(engine, to_client, false);
            }
        }
    }

    fn alter(&self, bytes: &mut [u8]) {
        for (from, to) in &self.altered {
            for at in 0..bytes.len().saturating_sub(from.len() - 1) {
                if bytes[at..].starts_with(from.as_bytes()) {
                    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
                }
            }
        }
    }

    /// Passes on what comes while it is to be passed on; what comes while it isn't is lost for good.
    fn copy(self: Arc<Self>, mut from: UnixStream, mut to: UnixStream, is_program: bool) {
        let last_words = self.last_words.filter(|_| is_program);
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let bytes = &mut buffer[..count];
                self.alter(bytes);
                if is_program {
                    self.sent.lock().unwrap().extend_from_slice(bytes);
                }
                if last_words.is_some_and(|text| String::from_utf8_lossy(bytes).contains(text)) {
                    self.set(Mode::Silent);
                }
                if self.mode() == Mode::Forward && to.write_all(bytes).is_err() {
                    break;
                }
            }
            if self.mode() != Mode::Silent {
                _ = to.shutdown(Shutdown::Both);
            }
        });
    }
}
