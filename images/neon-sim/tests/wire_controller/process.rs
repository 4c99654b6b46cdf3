//! Programs that run for one test, and end with it.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};

/// Whose Postgres it is where the tests run as root: Postgres refuses to.
const NOBODY: u32 = 65534;

/// A port for a program that is about to start. Not one of those which the kernel gives to outgoing connections: such a
/// one could be taken before the program binds it.
pub fn free_port() -> u16 {
    static USED: AtomicU16 = AtomicU16::new(0);
    const FIRST: u32 = 10_000;
    const LAST: u32 = 32_000;
    // Tests that run beside this one are other processes, with ids nearby.
    let start = std::process::id().wrapping_mul(61);
    for _ in FIRST..LAST {
        let step = u32::from(USED.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + start.wrapping_add(step) % (LAST - FIRST);
        let port = u16::try_from(port).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {LAST}");
}

/// A running program; its output goes to a file, which is shown when the test fails.
pub struct Process {
    child: Child,
    log: PathBuf,
    /// What ends it, and what it has started.
    end: Signal,
}

impl Process {
    /// One of the simulation's programs.
    pub fn role(role: &str, name: &str, directory: &Path, args: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neon-sim"));
        command.arg(role).args(args).current_dir(directory).env("RUST_LOG", "info").env_remove("NEON_SIM_FAULT");
        command.env("NEON_SIM_FAULT_FILE", directory.join("neon-sim-fault"));
        Self::start(command, name, directory, Signal::KILL)
    }

    fn start(mut command: Command, name: &str, directory: &Path, end: Signal) -> Self {
        let log = directory.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).expect("a log file");
        let err = out.try_clone().expect("the same file twice");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
        Self { child, log, end }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a running process");
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Its code, when it has ended by itself.
    pub async fn exit_code(&mut self, limit: Duration) -> Option<i32> {
        let begin = Instant::now();
        while begin.elapsed() < limit {
            if let Some(status) = self.has_ended() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("still running after {limit:?}: {}", self.log());
    }

    /// Ends it at once, unless it has ended already.
    pub fn stop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = kill_process(Pid::from_child(&self.child), self.end);
            let _ = self.child.wait();
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

/// A database server with its files in the test's directory.
pub struct Postgres {
    pub port: u16,
    process: Process,
}

impl Postgres {
    /// Makes the files and starts the server; it answers a little later.
    pub fn start(directory: &Path, port: u16) -> Self {
        let data = directory.join("postgres");
        if !data.exists() {
            std::fs::create_dir(&data).expect("a directory for Postgres");
            if getuid().is_root() {
                std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).expect("chown as root");
            }
            let mut initdb = program("initdb");
            initdb.args(["--username=postgres", "--auth=trust", "--no-sync", "--no-locale", "--encoding=UTF8"]);
            let output = initdb.arg("-D").arg(&data).current_dir(&data).output().expect("initdb runs");
            assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        }
        let mut server = program("postgres");
        server.arg("-D").arg(&data).arg("-p").arg(port.to_string()).current_dir(&data);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "shared_buffers=8MB",
            "max_connections=20",
        ] {
            server.args(["-c", setting]);
        }
        // SIGQUIT: it takes its own processes along.
        Self { port, process: Process::start(server, "postgres", directory, Signal::QUIT) }
    }

    /// Ends it as `pg_ctl stop -m immediate` does, and waits for that.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The controller needs a database, and makes none itself.
    pub async fn create_database(&self, name: &str) {
        self.execute(&format!("CREATE DATABASE {name}")).await;
    }

    pub async fn drop_database(&self, name: &str) {
        self.execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }

    /// As soon as it answers.
    async fn execute(&self, sql: &str) {
        let begin = Instant::now();
        loop {
            match tokio_postgres::connect(&self.url("postgres"), tokio_postgres::NoTls).await {
                Ok((client, connection)) => {
                    let connection = tokio::spawn(connection);
                    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
                    drop(client);
                    connection.await.expect("a task").expect("the end of a connection");
                    return;
                }
                Err(error) if begin.elapsed() > Duration::from_secs(60) => panic!("no Postgres: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// A program of Postgres' server package, which Debian doesn't have on the PATH.
fn program(name: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path().join("bin").join(name)).filter(|path| path.exists()).max();
    let mut command = Command::new(newest.unwrap_or_else(|| PathBuf::from(name)));
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
