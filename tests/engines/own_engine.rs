//! The engine that tests may stop, restart and crash.

use std::process::Command;

use crate::support::Api;

/// Says which it is, as the script that starts and stops it and its name: `engine-private.sh one`.
/// `scripts/test-engines.sh` sets it.
const VARIABLE: &str = "CONVOKE_OWN_ENGINE";
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");

/// An engine of our own. When this is dropped, the engine runs.
pub(crate) struct OwnEngine {
    script: String,
    name: String,
}

impl OwnEngine {
    /// The one that was made for these tests.
    pub(crate) fn of_tests() -> Self {
        let told = std::env::var(VARIABLE).unwrap_or_default();
        let (script, name) = told.split_once(' ').unwrap_or_else(|| {
            panic!("{VARIABLE} names no engine: these tests end theirs; `make test-engines` gives them one")
        });
        let host = std::env::var("DOCKER_HOST").unwrap_or_default();
        assert!(host.ends_with(&format!("/convoke-engine-{name}/sock")), "DOCKER_HOST={host} isn't the engine {name}");
        Self { script: format!("{SCRIPTS}/{script}"), name: name.to_owned() }
    }

    /// Starts it, or finds it running.
    pub(crate) fn start(&self) {
        self.run("start");
    }

    /// Stops it and its containers in an orderly way, for good.
    pub(crate) fn stop(&self) {
        self.run("stop");
    }

    /// What `systemctl restart docker` does.
    pub(crate) fn restart(&self) {
        self.stop();
        self.start();
    }

    /// The same with live-restore: its containers go on.
    pub(crate) fn bounce(&self) {
        self.run("bounce");
    }

    /// Kills the engine, then all that it ran, as a power cut does; starts it again.
    pub(crate) fn crash(&self) {
        let file = format!("/tmp/convoke-engine-{}/pid", self.name);
        let pid = std::fs::read_to_string(file).unwrap();
        assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
        // With the engine dead, this ends its containers.
        self.restart();
    }

    /// Fails if it has a container, a network of somebody's, or a volume: nobody else uses it.
    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        let api = Api::new();
        let containers = api.get("/containers/json?all=1");
        assert_eq!(containers.as_array().unwrap().len(), 0, "{}: {containers}", self.name);
        let networks = api.get("/networks");
        assert_eq!(networks.as_array().unwrap().len(), 3, "{}: {networks}", self.name);
        let volumes = api.get("/volumes");
        assert_eq!(volumes["Volumes"].as_array().map_or(0, Vec::len), 0, "{}: {volumes}", self.name);
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.script);
        command.args([what, &self.name]);
        command
    }

    fn run(&self, what: &str) {
        let output = self.command(what).output().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        // Whoever cleans up after a failed test needs it; that it can't be started is told there.
        _ = self.command("start").output();
    }
}
