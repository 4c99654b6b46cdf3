//! The engine, without the program.

use convoke::engine::Engine;
use convoke::engine::docker::DockerEngine;
use serde_json::Value;

use super::IMAGE;
use super::http::{Ender, Lines, Place, follow, request};

/// Runs something against the engine. Without an engine the test fails: it doesn't skip.
pub(crate) fn with_engine<T>(work: impl AsyncFnOnce(DockerEngine) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = DockerEngine::connect(None).await.expect("tests need an engine: `make test` sets one up");
        assert!(engine.image(IMAGE).await.unwrap().is_some(), "{IMAGE} is missing: `make images` loads it");
        work(engine).await
    })
}

/// The engine's API as it is, for what the library doesn't tell.
pub(crate) struct Api {
    place: Place,
}

impl Api {
    /// The engine that the program finds too.
    pub(crate) fn new() -> Self {
        let address = with_engine(async |engine| engine.known_info().address.clone());
        let place = match address.split_once("://") {
            Some(("unix", path)) => Place::Socket(path.to_owned()),
            Some((_, host)) => Place::Host(host.to_owned()),
            None => panic!("an engine at {address:?}?"),
        };
        Self { place }
    }

    /// Asks for something that is there.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = request(&self.place, "GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks for something that may be gone.
    pub(crate) fn find(&self, path: &str) -> Option<Value> {
        let (status, body) = request(&self.place, "GET", path, "");
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    /// The status that a question is answered with.
    pub(crate) fn status(&self, path: &str) -> u16 {
        request(&self.place, "GET", path, "").0
    }

    /// Asks the engine to do something; the status and the answer.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        request(&self.place, method, path, body)
    }

    /// News of the engine, one JSON object a line, from now on.
    #[track_caller]
    pub(crate) fn events(&self, filters: &str) -> (Lines, Ender) {
        follow(&self.place, &format!("/events?filters={}", escaped(filters)))
    }

    /// A list, narrowed to what has this label.
    #[track_caller]
    pub(crate) fn list(&self, path: &str, label: &str) -> Value {
        let filters = format!(r#"{{"label":["{label}"]}}"#);
        self.get(&format!("{path}?all=1&filters={}", escaped(&filters)))
    }
}

/// As part of a query.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
