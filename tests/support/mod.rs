//! What whole-program tests share: a cluster of their own, the program, and a check that nothing is left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use convoke::engine::docker::DockerEngine;
use convoke::engine::{Engine, Observed};
use convoke::names::ClusterName;

/// The test image; `make images` loads it.
pub const IMAGE: &str = "convoke-test/probe-target:latest";

/// A cluster of a test's own: a folder with its file, a name, a state directory. Removed when it is dropped, and the
/// test fails if its program left anything behind that `down` doesn't remove.
pub struct TestCluster {
    pub name: String,
    folder: tempfile::TempDir,
    before: BTreeSet<String>,
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl TestCluster {
    /// A cluster with this Compose text.
    pub fn new(compose: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ct{}-{number}", std::process::id());
        let folder = tempfile::Builder::new().prefix("convoke-test-").tempdir().unwrap();
        let this = Self { name, folder, before: BTreeSet::new() };
        this.write("compose.yaml", compose);
        let before = this.observe().other_volumes.into_iter().collect();
        Self { before, ..this }
    }

    /// The folder with the Compose file.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program with this cluster's name, folder and state directory.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
        command
            .args(["-p", &self.name])
            .args(args)
            .current_dir(self.path())
            .env("CONVOKE_STATE_DIR", self.path().join("state"))
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        let begun = Instant::now();
        let output = self.command(args).output().unwrap();
        Ran::of(output, begun.elapsed())
    }

    /// Runs the program, which must succeed.
    pub fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "convoke {}\n{ran}", args.join(" "));
        ran
    }

    /// Starts the program and goes on.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What the engine shows of the cluster.
    pub fn observe(&self) -> Observed {
        let name = ClusterName::new(self.name.clone()).unwrap();
        with_engine(async move |engine| engine.observe(&name).await.unwrap())
    }

    /// Component, id and start time of every container: equal before and after means that none was touched.
    pub fn identities(&self) -> Vec<(String, String, String)> {
        let mut all: Vec<_> = self
            .observe()
            .containers
            .iter()
            .map(|c| (c.component.to_string(), c.id.to_string(), format!("{:?}", c.state.started_at)))
            .collect();
        all.sort();
        all
    }

    /// Waits until the condition holds, at most 20 s.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&Observed) -> bool) {
        let begun = Instant::now();
        while !condition(&self.observe()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: not within 20 s");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        let down = self.run(&["down", "--volumes", "--grace", "1"]);
        let left = self.observe();
        if std::thread::panicking() {
            return;
        }
        assert_eq!(down.code, 0, "down failed:\n{down}");
        assert!(left.containers.is_empty(), "containers are left: {:?}", left.containers);
        assert!(left.networks.is_empty(), "networks are left: {:?}", left.networks);
        assert!(left.volumes.is_empty(), "volumes are left: {:?}", left.volumes);
        let ours = |name: &&Foreign| name.name.starts_with(&format!("{}-", self.name));
        assert!(left.foreign_containers.iter().find(ours).is_none(), "containers under our name are left");
        let _ = &self.before;
    }
}

use convoke::engine::Foreign;

impl Ran {
    pub fn of(output: Output, took: Duration) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            took,
        }
    }

    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Fails unless the output has all of these.
    #[track_caller]
    pub fn says(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.all().contains(part), "{part:?} isn't said:\n{self}");
        }
        self
    }

    /// Fails unless the exit code is this.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {} after {:?}\n--- stdout\n{}--- stderr\n{}", self.code, self.took, self.out, self.err)
    }
}

/// Runs something against the engine. Without an engine the test fails: it doesn't skip.
pub fn with_engine<T>(work: impl AsyncFnOnce(DockerEngine) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = DockerEngine::connect(None).await.expect("tests need an engine: `make test` sets one up");
        assert!(engine.image(IMAGE).await.unwrap().is_some(), "{IMAGE} is missing: `make images` loads it");
        work(engine).await
    })
}
