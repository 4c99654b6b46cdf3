//! Images that the file says how to build.

use std::time::Duration;

use crate::support::{Api, Ran, TestCluster};

const SERVICES: &str = r#"
services:
  web:
    build: ./web
    init: true
    command: [sleep, infinity]
    x-convoke: { ready: { exec: { command: [test, -f, /made] } } }
"#;

/// A cluster whose `web` is built from this Dockerfile. Its images are removed at the end, those without a name too.
struct Built {
    cluster: TestCluster,
    api: Api,
}

impl Built {
    fn new(steps: &str) -> Self {
        let this = Self { cluster: TestCluster::new(SERVICES), api: Api::new() };
        this.dockerfile(steps);
        this
    }

    fn dockerfile(&self, steps: &str) {
        self.cluster.write("web/Dockerfile", &format!("FROM debian:bookworm-slim\n{steps}"));
    }

    fn says_in_web(&self, file: &str) -> String {
        self.cluster.ok(&["exec", "web", "cat", file]).out
    }

    /// Ids of the images that were built for the cluster.
    fn images(&self) -> Vec<String> {
        let all = self.api.list("/images/json", &format!("com.docker.compose.project={}", self.cluster.name));
        all.as_array().unwrap().iter().map(|image| image["Id"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        self.cluster.run(&["down", "--grace", "1"]);
        for id in self.images() {
            let (status, answer) = self.api.send("DELETE", &format!("/images/{id}?force=1"), "");
            // One can go with another that was made from it.
            assert!(matches!(status, 200 | 404) || std::thread::panicking(), "{id}: {answer}");
        }
    }
}

fn image_ready(ran: &Ran) -> Vec<String> {
    let how = |event: convoke::event::Event| match event.kind {
        convoke::event::EventKind::ImageReady { how, .. } => Some(how),
        _ => None,
    };
    ran.events().into_iter().filter_map(how).collect()
}

#[test]
fn an_image_is_built_once_and_again_when_asked_for() {
    let built = Built::new("RUN echo one >/made\n");
    let first = built.cluster.ok(&["--format", "json", "up"]);
    assert_eq!((image_ready(&first), first.planned()), (vec!["built".to_owned()], vec!["web create".to_owned()]));
    assert_eq!(built.says_in_web("/made"), "one\n");
    let before = built.cluster.identities();

    // What it is built from has changed, and nobody asked for a new one.
    built.dockerfile("COPY made /made\n");
    built.cluster.write("web/made", "two\n");
    let again = built.cluster.ok(&["--format", "json", "up"]);
    assert_eq!(image_ready(&again), ["present"]);
    assert_eq!(built.cluster.identities(), before);

    built.cluster.ok(&["up", "--build"]).says(&["web   created", "web   ready"]);
    assert_eq!(built.says_in_web("/made"), "two\n");
    let rebuilt = built.cluster.identities();
    assert_ne!(rebuilt, before);

    // The same image comes out: its container stays.
    built.cluster.ok(&["up", "--build"]);
    assert_eq!(built.cluster.identities(), rebuilt);
}

#[test]
fn a_step_that_fails_is_shown_with_what_it_printed() {
    let built = Built::new("RUN echo looking for the compiler; echo no compiler >&2; exit 3\n");
    let up = built.cluster.run(&["up"]);
    up.exits(1).says(&[
        "web: image ",
        "can't be built: The command '/bin/sh -c echo looking for the compiler",
        "returned a non-zero code: 3\n",
        "  | looking for the compiler\n",
        "  | no compiler\n",
        &format!(
            "try: mend what service web is built from ({}/web), then `convoke up`",
            built.cluster.path().display()
        ),
    ]);
    up.says_nothing_of(&["exit code 3 ", "last probe answer"]);
    assert!(built.cluster.components().is_empty());
}

/// What runs goes on, and nothing of it is quoted as if it had failed.
#[test]
fn a_rebuild_that_fails_leaves_what_runs_alone() {
    let built = Built::new("RUN touch /made\n");
    built.cluster.edit("[sleep, infinity]", "[sh, -c, 'echo serving happily; exec sleep infinity']");
    built.cluster.ok(&["up"]);
    let before = built.cluster.identities();
    built.dockerfile("RUN exit 4\n");
    let up = built.cluster.run(&["up", "--build"]);
    up.exits(1).says(&["returned a non-zero code: 4", "then `convoke up --build`"]);
    up.says_nothing_of(&["serving happily", "last probe answer", "stopped 1"]);
    assert_eq!(built.cluster.identities(), before);
    built.cluster.ok(&["ps"]).says(&["ready"]);
}

#[test]
fn a_context_that_is_not_there_is_an_error_in_the_file() {
    let cluster = TestCluster::new(SERVICES);
    let place = "compose.yaml:4:12";
    let message = format!("the build context {}/web doesn't exist\n", cluster.path().display());
    let up = cluster.run(&["up"]);
    up.exits(2).within(Duration::from_secs(5)).says(&[&format!("error: {message}"), place, "build: ./web"]);
    cluster.run(&["config", "--resolved"]).exits(2).says(&[&format!("error: {message}"), place]);
    // Reading the project needs no sources.
    cluster.ok(&["config"]).says(&[&format!("warning: {message}"), place]);
    cluster.write("web/other", "");
    cluster.run(&["up"]).exits(2).says(&["there is no Dockerfile in the build context"]);
    cluster.edit("build: ./web", "build: ./gone\n    image: app:1");
    cluster.ok(&["config"]).says(&["warning: the build context", "the image app:1 has to be there already"]);
}
