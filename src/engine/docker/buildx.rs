//! Building an image with Docker's plugin buildx, which has the engine build it with `BuildKit`.
//!
//! The plugin is run as it is, without Docker's client: it is told the engine's address by the environment.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bollard::errors::Error;
use futures::stream::{self, BoxStream, StreamExt};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use super::address::{Address, Surroundings};
use super::buildx_args::Invocation;
use super::failure::{explain, refused};
use crate::engine::{EngineError, Progress, Result, Verb};

/// A plugin that says nothing for so long has hung: a step that is under way is told again and again.
const SILENCE: Duration = Duration::from_secs(15 * 60);
/// What the engine's own reader of Dockerfiles doesn't know, a newer one does, which it can get from a registry.
const TOO_OLD: &str = "; this engine's builder is too old for that: begin the Dockerfile with the line \"# \
                       syntax=docker/dockerfile:1\", or use an engine of version 23 or newer";
/// A longer line is shown in pieces.
const LONGEST_LINE: u64 = 64 * 1024;
/// Where Docker's client looks for its plugins besides the user's own folder.
const FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

impl Surroundings {
    /// The plugin, where Docker's client would find it.
    ///
    /// # Errors
    /// Why images are built by the engine's classic builder instead: as the end of a sentence.
    pub fn buildx(&self) -> std::result::Result<PathBuf, String> {
        if let Some(value) = self.variable("DOCKER_BUILDKIT").filter(|value| matches!(*value, "0" | "false")) {
            return Err(format!("DOCKER_BUILDKIT={value} asks for that one"));
        }
        let config = self.docker_config();
        let own =
            config.iter().flat_map(|folder| extra_folders(folder).into_iter().chain([folder.join("cli-plugins")]));
        let all = own.chain(FOLDERS.iter().map(PathBuf::from));
        let found = all.map(|folder| folder.join("docker-buildx")).find(|path| is_program(path));
        found.ok_or_else(|| "Docker's plugin buildx isn't installed".to_owned())
    }
}

/// What the user's configuration adds.
fn extra_folders(config: &Path) -> Vec<PathBuf> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "cliPluginsExtraDirs", default)]
        folders: Vec<PathBuf>,
    }
    let text = std::fs::read(config.join("config.json")).unwrap_or_default();
    serde_json::from_slice::<Config>(&text).map(|config| config.folders).unwrap_or_default()
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Runs the plugin. It is killed when nobody wants to know of it any more.
pub(super) fn run(
    program: &Path,
    engine: &Address,
    verb: Verb,
    invocation: Invocation,
) -> BoxStream<'static, Result<Progress>> {
    let mut command = Command::new(program);
    command
        .args(&invocation.arguments)
        .envs(invocation.environment)
        .env("DOCKER_HOST", engine.to_string())
        // It would win over the address.
        .env_remove("DOCKER_CONTEXT")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Ctrl-C is for convoke to judge, which kills the plugin when it gives the build up.
        .process_group(0)
        .kill_on_drop(true);
    let begun =
        command.spawn().map_err(|error| refused(verb.clone(), format!("{} can't be run: {error}", program.display())));
    match begun {
        Ok(child) => {
            let running = Running::of(child, invocation.input, verb);
            stream::try_unfold(running, async |mut running| Ok(running.next().await?.map(|step| (step, running))))
                .boxed()
        }
        Err(error) => stream::iter([Err(error)]).boxed(),
    }
}

/// The plugin while it runs. It is killed when this is dropped: the stream itself has it, and no task of its own, which
/// might outlive a process that is about to end.
struct Running {
    child: Child,
    output: Option<BufReader<ChildStderr>>,
    said: Said,
    verb: Verb,
}

impl Running {
    fn of(mut child: Child, input: String, verb: Verb) -> Self {
        if let Some(mut pipe) = child.stdin.take() {
            tokio::spawn(async move {
                // One that doesn't read it says why.
                _ = pipe.write_all(input.as_bytes()).await;
            });
        }
        let output = child.stderr.take().map(BufReader::new);
        Self { child, output, said: Said::default(), verb }
    }

    /// What it says next; None when it has ended well.
    async fn next(&mut self) -> Result<Option<Progress>> {
        while let Some(line) = self.line().await? {
            if let Some(text) = self.said.line(String::from_utf8_lossy(&line).trim_end()) {
                return Ok(Some(Progress { text, current: None, total: None }));
            }
        }
        let status = self.child.wait().await.map_err(|error| self.trouble(&error))?;
        if status.success() {
            return Ok(None);
        }
        let message =
            self.said.error.take().or(self.said.last.take()).unwrap_or_else(|| "it gives no reason".to_owned());
        let old = if message.contains("unsupported frontend capability") { TOO_OLD } else { "" };
        let error = format!("{message} (buildx: {status}){old}");
        Err(explain(self.verb.clone(), Error::DockerStreamError { error }))
    }

    /// A line of its output; None at the end.
    async fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(output) = &mut self.output else { return Ok(None) };
        let mut line = Vec::new();
        match tokio::time::timeout(SILENCE, output.take(LONGEST_LINE).read_until(b'\n', &mut line)).await {
            Ok(Ok(0)) => Ok(None),
            Ok(Ok(_)) => Ok(Some(line)),
            Ok(Err(error)) => Err(self.trouble(&error)),
            Err(_) => {
                let message = format!("buildx has said nothing for {} min, and was ended", SILENCE.as_secs() / 60);
                Err(refused(self.verb.clone(), message))
            }
        }
    }

    fn trouble(&self, error: &std::io::Error) -> EngineError {
        refused(self.verb.clone(), format!("buildx: {error}"))
    }
}

/// What it said so far.
#[derive(Default)]
struct Said {
    /// Its own error.
    error: Option<String>,
    /// The last line: where it ended without an error of its own, that says why.
    last: Option<String>,
}

impl Said {
    /// What is shown of a line: `#7 0.213 text` is a step's output, `#7 DONE 0.3s` and `#7 CACHED` are no news.
    fn line(&mut self, line: &str) -> Option<String> {
        if let Some(error) = line.strip_prefix("ERROR: ") {
            // Inside a step's output it has a number before it: this one is the plugin's.
            self.error = Some(error.to_owned());
            return None;
        }
        let text = line.split_once(' ').filter(|(number, _)| is_step(number)).map_or(line, |(_, rest)| rest);
        let text = text.split_once(' ').filter(|(time, _)| is_time(time)).map_or(text, |(_, rest)| rest);
        let is_news = !text.trim().is_empty() && !text.starts_with("DONE ") && !matches!(text, "CACHED" | "...");
        if !is_news || text.chars().all(|c| c == '-') {
            return None;
        }
        self.last = Some(text.to_owned());
        Some(text.to_owned())
    }
}

fn is_step(word: &str) -> bool {
    word.strip_prefix('#').is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn is_time(word: &str) -> bool {
    word.contains('.') && word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A plugin of a test's own in Docker's folder of configuration.
    fn plugin(script: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("cli-plugins");
        std::fs::create_dir(&plugins).unwrap();
        let path = plugins.join("docker-buildx");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    }

    fn begin(program: &Path, input: &str) -> BoxStream<'static, Result<Progress>> {
        let invocation = Invocation {
            arguments: vec!["build".into(), "--load".into()],
            environment: vec![("GIVEN".to_owned(), "by us".to_owned())],
            input: input.to_owned(),
        };
        run(program, &Address::Unix("/a.sock".into()), Verb::Build("app".to_owned()), invocation)
    }

    async fn all(program: &Path, input: &str) -> Vec<std::result::Result<String, String>> {
        let steps = begin(program, input);
        steps.map(|step| step.map(|step| step.text).map_err(|error| error.to_string())).collect().await
    }

    #[test]
    fn where_the_plugin_is() {
        let (folder, path) = plugin("");
        let config = |more: &[(&str, &str)]| {
            let config = [("DOCKER_CONFIG", folder.path().to_str().unwrap())];
            Surroundings::with(&[&config[..], more].concat())
        };
        assert_eq!(config(&[]).buildx(), Ok(path.clone()));
        let refused = config(&[("DOCKER_BUILDKIT", "0")]).buildx().unwrap_err();
        assert_eq!(refused, "DOCKER_BUILDKIT=0 asks for that one");
        // Docker's client doesn't run what isn't a program, and looks where its configuration says.
        let other = folder.path().join("other");
        std::fs::rename(folder.path().join("cli-plugins"), &other).unwrap();
        std::fs::write(folder.path().join("config.json"), format!("{{\"cliPluginsExtraDirs\": [{other:?}]}}")).unwrap();
        assert_eq!(config(&[]).buildx(), Ok(other.join("docker-buildx")));
        std::fs::set_permissions(other.join("docker-buildx"), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(config(&[]).buildx(), Ok(other.join("docker-buildx")));
    }

    #[tokio::test]
    async fn what_the_plugin_says_is_progress() {
        let script = "echo \"#1 [1/2] $* at $DOCKER_HOST, $GIVEN\" >&2; read line; echo \"#12 0.105 $line\" >&2; \
                      printf '#12 DONE 0.2s\\n#13 CACHED\\n------\\n\\nplain 1.5 text' >&2; echo image";
        let (_folder, path) = plugin(script);
        let said = ["[1/2] build --load at unix:///a.sock, by us", "FROM scratch", "plain 1.5 text"];
        assert_eq!(all(&path, "FROM scratch\n").await, said.map(|line| Ok(line.to_owned())));
    }

    #[tokio::test]
    async fn a_failure_is_quoted() {
        let (_folder, path) =
            plugin("echo '#5 0.1 no compiler' >&2; echo 'ERROR: failed to solve: exit code: 3' >&2; exit 1");
        let said = all(&path, "").await;
        assert_eq!(said[0], Ok("no compiler".to_owned()));
        let error = said[1].as_ref().unwrap_err();
        assert!(error.contains("failed to solve: exit code: 3 (buildx: exit status: 1)"), "{error}");
        let (_folder, path) = plugin("echo 'unknown flag: --load' >&2; exit 125");
        let error = all(&path, "").await.pop().unwrap().unwrap_err();
        assert!(error.contains("unknown flag: --load (buildx: exit status: 125)"), "{error}");
        let error = all(Path::new("/nowhere/docker-buildx"), "").await.pop().unwrap().unwrap_err();
        assert!(error.contains("/nowhere/docker-buildx can't be run"), "{error}");
    }

    #[tokio::test]
    async fn a_build_that_is_given_up_is_ended() {
        let (_folder, path) = plugin("echo $$ >&2; exec sleep 1000");
        let mut steps = begin(&path, "");
        let process = steps.next().await.unwrap().unwrap().text;
        let there = || Path::new("/proc").join(&process).join("exe").read_link().is_ok();
        assert!(there());
        drop(steps);
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if !there() {
                return;
            }
        }
        panic!("{process} still runs");
    }

    #[tokio::test]
    async fn a_plugin_that_hangs_is_ended() {
        let (_folder, path) = plugin("echo begun >&2; exec sleep 1000");
        let mut steps = begin(&path, "");
        assert!(steps.next().await.unwrap().is_ok());
        tokio::time::pause();
        let error = steps.next().await.unwrap().unwrap_err();
        assert!(error.message.contains("has said nothing for 15 min"), "{error}");
    }
}
