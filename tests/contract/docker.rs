//! The suite on a real engine: the one that convoke itself would use.

use std::sync::atomic::{AtomicU32, Ordering};

use convoke::engine::Engine;
use convoke::engine::docker::DockerEngine;

use crate::context::Cx;

const IMAGE: &str = "convoke-test/probe-target:latest";
/// Set it where there is no engine; anything else without an engine or the image is a failure, not a silent pass.
const SKIP: &str = "CONVOKE_SKIP_DOCKER";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A context with a cluster name that no other run or case has.
pub(crate) async fn context(_case: &str) -> Option<Cx<DockerEngine>> {
    if std::env::var_os(SKIP).is_some() {
        return None;
    }
    let engine = DockerEngine::connect(None).await.unwrap_or_else(|error| panic!("{error}; {SKIP}=1 leaves this out"));
    let image = engine.image(IMAGE).await.unwrap();
    assert!(image.is_some(), "the engine lacks {IMAGE}: run `make images`");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Some(Cx::new(engine, &format!("contract-{}-{number}", std::process::id()), IMAGE))
}
