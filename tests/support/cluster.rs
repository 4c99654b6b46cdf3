//! A cluster of a test's own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use convoke::engine::{Engine, Observed, ObservedContainer};
use convoke::names::ClusterName;
use serde_json::Value;

use super::leaks::Leaks;
use super::{Api, Ran, Running, with_engine};

/// What is waited for in tests is there within this time, or the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// A run of the program takes so long at most: less than the test runner gives a test, which then couldn't clean up.
const RUN_LIMIT: Duration = Duration::from_secs(120);

/// A folder with a Compose file, a name, a state directory. When it is dropped the cluster is taken down, and the test
/// fails if anything is left in the engine: containers, networks, volumes, and anonymous volumes made on the way.
pub(crate) struct TestCluster {
    pub(crate) name: String,
    folder: tempfile::TempDir,
    leaks: Leaks,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl TestCluster {
    /// A cluster with this Compose text.
    pub(crate) fn new(compose: &str) -> Self {
        let this = Self::without_file();
        this.write("compose.yaml", compose);
        this
    }

    /// A cluster without a Compose file: for templates.
    pub(crate) fn without_file() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ct{}-{number}", std::process::id());
        let folder = tempfile::Builder::new().prefix("convoke-test-").tempdir().unwrap();
        Self { leaks: Leaks::of(&name), name, folder }
    }

    /// The folder with the Compose file.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Replaces a part of the Compose file, which must be there.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path().join("compose.yaml")).unwrap();
        assert!(text.contains(from), "{from:?} isn't in the file");
        self.write("compose.yaml", &text.replace(from, to));
    }

    /// The program with this cluster's name, folder and state directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.at_home(Command::new(env!("CARGO_BIN_EXE_convoke")), args)
    }

    /// A command in this cluster's folder and environment, with the arguments after `-p NAME`.
    pub(crate) fn at_home(&self, mut command: Command, args: &[&str]) -> Command {
        command
            .args(["-p", &self.name])
            .args(args)
            .current_dir(self.path())
            .env("CONVOKE_STATE_DIR", self.path().join("state"))
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            // The same everywhere, whatever plugins are installed.
            .env("DOCKER_BUILDKIT", "0")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_command(self.command(args))
    }

    /// Runs a prepared command to its end.
    #[track_caller]
    pub(crate) fn run_command(&self, command: Command) -> Ran {
        let ran = Running::begin(command).end_within(RUN_LIMIT);
        self.leaks.remember();
        ran
    }

    /// Runs the program, which must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "convoke {}\n{ran}", args.join(" "));
        ran
    }

    /// Runs the program with `--format json`, which must succeed and print one JSON value.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.ok(&[&["--format", "json"], args].concat());
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}:\n{ran}"))
    }

    /// Starts the program in the background; its output is collected.
    pub(crate) fn begin(&self, args: &[&str]) -> Running {
        Running::begin(self.command(args))
    }

    /// What the engine shows of the cluster.
    pub(crate) fn observe(&self) -> Observed {
        let name = ClusterName::new(self.name.clone()).unwrap();
        with_engine(async move |engine| engine.observe(&name).await.unwrap())
    }

    /// What the engine shows of a component.
    #[track_caller]
    pub(crate) fn container(&self, component: &str) -> ObservedContainer {
        let all = self.observe().containers;
        let found = all.into_iter().find(|container| container.component.as_str() == component);
        found.unwrap_or_else(|| panic!("{component} isn't there"))
    }

    /// All that the engine knows of a component's container.
    #[track_caller]
    pub(crate) fn inspect(&self, component: &str) -> Value {
        Api::new().get(&format!("/containers/{}/json", self.container(component).id))
    }

    /// `address:port` of a component, on its first network.
    #[track_caller]
    pub(crate) fn address(&self, component: &str, port: u16) -> String {
        let container = self.container(component);
        let address = container.networks.values().find_map(|endpoint| endpoint.address);
        format!("{}:{port}", address.unwrap_or_else(|| panic!("{component} has no address")))
    }

    /// Component, id and start time of every container: equal before and after means that none was touched.
    pub(crate) fn identities(&self) -> Vec<(String, String, String)> {
        let mut all: Vec<_> = self
            .observe()
            .containers
            .iter()
            .map(|c| (c.component.to_string(), c.id.to_string(), format!("{:?}", c.state.started_at)))
            .collect();
        all.sort();
        all
    }

    /// Components that have a container, sorted.
    pub(crate) fn components(&self) -> Vec<String> {
        self.identities().into_iter().map(|(component, ..)| component).collect()
    }

    /// What a component wrote.
    #[track_caller]
    pub(crate) fn log(&self, component: &str) -> String {
        self.ok(&["logs", component]).all()
    }

    /// Waits until the condition holds.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn(&Observed) -> bool) {
        let begun = Instant::now();
        while !condition(&self.observe()) {
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the engine still has of the cluster, for people.
    pub(crate) fn left(&self) -> Vec<String> {
        self.leaks.left()
    }

    /// Fails if the engine still has anything of the cluster.
    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        let left = self.left();
        assert!(left.is_empty(), "left behind by {}: {left:?}", self.name);
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A second panic would end the program before anything is removed: no assertion here.
            let removed = self.command(&["down", "--volumes", "--grace", "1"]).status();
            if !removed.as_ref().is_ok_and(std::process::ExitStatus::success) {
                _ = writeln!(std::io::stderr(), "{} isn't removed: {removed:?}", self.name);
            }
            return;
        }
        self.leaks.remember();
        let down = self.run(&["down", "--volumes", "--grace", "1"]);
        assert_eq!(down.code, 0, "down failed:\n{down}");
        self.assert_gone();
    }
}
