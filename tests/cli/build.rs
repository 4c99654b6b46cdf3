//! Images that the file says how to build.

use std::time::Duration;

use crate::support::{Api, IMAGE, Ran, TestCluster};

const SERVICES: &str = r#"
services:
  web:
    build: ./web
    command: [--cat, /made]
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
"#;

/// A cluster whose `web` is built from this Dockerfile. Its images are removed at the end, those without a name too.
struct Built {
    cluster: TestCluster,
    api: Api,
}

impl Built {
    fn new(dockerfile: &str) -> Self {
        let this = Self { cluster: TestCluster::new(SERVICES), api: Api::new() };
        this.dockerfile(dockerfile);
        this
    }

    /// With this as what it copies.
    fn of(made: &str) -> Self {
        let this = Self::new(&copying(""));
        this.cluster.write("web/made", made);
        this
    }

    fn dockerfile(&self, text: &str) {
        self.cluster.write("web/Dockerfile", text);
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
        let images = self.images();
        // One can go with another that was made from it, and not before it.
        for id in images.iter().flat_map(|_| &images) {
            self.api.send("DELETE", &format!("/images/{id}?force=1"), "");
        }
        let left = self.images();
        assert!(left.is_empty() || std::thread::panicking(), "{left:?}");
    }
}

/// A small image: on some storage drivers each layer of a large one takes seconds.
fn copying(more: &str) -> String {
    format!("FROM {IMAGE}\nCOPY made /made\n{more}")
}

/// Steps that need a shell.
fn running(steps: &str) -> String {
    format!("FROM debian:bookworm-slim\n{steps}\n")
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
    let built = Built::of("one");
    let first = built.cluster.ok(&["--format", "json", "up"]);
    assert_eq!((image_ready(&first), first.planned()), (vec!["built".to_owned()], vec!["web create".to_owned()]));
    assert!(built.cluster.log("web").contains("/made: one"));
    let before = built.cluster.identities();

    // What it is built from has changed, and nobody asked for a new one.
    built.dockerfile(&copying("LABEL another=one\n"));
    built.cluster.write("web/made", "two");
    let again = built.cluster.ok(&["--format", "json", "up"]);
    assert_eq!(image_ready(&again), ["present"]);
    assert_eq!(built.cluster.identities(), before);

    built.cluster.ok(&["up", "--build"]).says(&["web   created", "web   ready"]);
    assert!(built.cluster.log("web").contains("/made: two"));
    let rebuilt = built.cluster.identities();
    assert_ne!(rebuilt, before);

    // The same image comes out: its container stays.
    built.cluster.ok(&["up", "--build"]);
    assert_eq!(built.cluster.identities(), rebuilt);
    built.cluster.ok(&["up", "--force-recreate"]).says(&["web   created"]);
    assert_ne!(built.cluster.identities(), rebuilt);
}

#[test]
fn an_image_that_is_not_there_is_not_built_when_that_is_not_wanted() {
    let built = Built::of("one");
    built.cluster.run(&["up", "--no-build"]).exits(1).says(&["the engine doesn't have it", "never pulled"]);
    assert!(built.images().is_empty());
    built.cluster.ok(&["build"]);
    built.cluster.write("web/made", "two");
    built.cluster.ok(&["up", "--no-build"]);
    assert!(built.cluster.log("web").contains("/made: one"));
}

#[test]
fn a_step_that_fails_is_shown_with_what_it_printed() {
    let built = Built::new(&running("RUN echo looking for the compiler; echo no compiler >&2; exit 3"));
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
    let built = Built::of("something");
    built.cluster.ok(&["up"]);
    let before = built.cluster.identities();
    built.dockerfile(&running("RUN exit 4"));
    let up = built.cluster.run(&["up", "--build"]);
    up.exits(1).says(&["returned a non-zero code: 4", "then `convoke up --build`"]);
    up.says_nothing_of(&["listening on", "last probe answer", "stopped 1"]);
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
