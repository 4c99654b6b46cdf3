//! The driver's calls, made against an engine: what each comes back with, and how long it may take.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::UnboundedSender;
use tracing::debug;

use super::hooks;
use super::input::{Call, Done, Input};
use crate::cluster::Build;
use crate::engine::{BuildRequest, Engine, EngineError, ErrorKind, ImageInfo, LogLine, LogQuery, Progress, Verb};
use crate::names::{ClusterName, ContainerId};
use crate::units::human;

/// So many of the last log lines go into a failure report.
pub(super) const LOG_LINES: usize = 20;
/// They come so long before the one who asked gives up, complete or not.
const LOG_MARGIN: Duration = Duration::from_millis(100);
/// The engine notes a start so long after the process began, or between two of its lines. Between the last line of a run
/// and the first of the next, no less time passes: the engine's own restart policy pauses for as long.
const START_NOTED: SignedDuration = SignedDuration::from_millis(100);
/// A list or an inspection without an answer for so long is asked again: all else waits for it.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// What a task needs.
#[derive(Clone)]
pub(super) struct Context<E> {
    pub(super) engine: E,
    pub(super) outbox: UnboundedSender<Input>,
}

impl<E: Engine> Context<E> {
    /// Makes it, and says what came of it.
    pub(super) async fn make(&self, call: Call, cluster: ClusterName, labels: BTreeMap<String, String>) -> Done {
        let engine = &self.engine;
        match call {
            Call::Observe => {
                let verb = Verb::Observe(cluster.to_string());
                Done::Observed(read(verb, engine.observe(&cluster)).await.map(Box::new))
            }
            Call::Inspect(name, id) => {
                let verb = Verb::Inspect(name.to_string());
                let seen = read(verb, engine.inspect(&id)).await.map(|seen| seen.map(Box::new));
                Done::Inspected(name, id, seen)
            }
            Call::FindImage(image) => {
                let found = engine.image(&image).await;
                Done::Image(image, found)
            }
            Call::ObtainImage { image, build, service } => {
                let build = build.map(|build| *build);
                let found = self.obtain(&image, build, &service, cluster, labels).await;
                Done::Image(image, found)
            }
            Call::CreateNetwork(key, request) => Done::NetworkCreated(key, engine.create_network(&request).await),
            Call::CreateVolume(key, request) => Done::VolumeCreated(key, engine.create_volume(&request).await),
            Call::Create(request) => {
                let name = request.component.clone();
                Done::Created(name, engine.create_container(&request).await)
            }
            Call::Start(name, id) => {
                let result = engine.start(&id).await;
                Done::Started(name, id, result)
            }
            Call::PostStart(name, id, run, all) => {
                let result = hooks::post_start(engine, &id, &all).await;
                Done::Hooked(name, run, result)
            }
            Call::Stop(name, id, grace, all) => {
                let (grace, troubles) = hooks::pre_stop(engine, &id, &all, grace).await;
                for trouble in troubles {
                    tracing::warn!(component = %name, "{trouble}");
                }
                Done::Changed(name, engine.stop(&id, grace).await)
            }
            Call::Remove(name, id, volumes) => Done::Changed(name, engine.remove(&id, volumes).await),
            Call::Rename(name, id, to) => Done::Changed(name, engine.rename(&id, &to).await),
            Call::Connect(name, id, attach) => {
                let result = engine.connect(&id, &attach).await;
                Done::Connected(name, id, result)
            }
            Call::Unpause(name, id) => Done::Changed(name, engine.unpause(&id).await),
            Call::RemoveTwin(id) => {
                let result = engine.remove_network(&id).await;
                Done::TwinRemoved(id, result)
            }
            Call::RemoveSurplus(id) => {
                let result = engine.remove(&id, true).await;
                Done::SurplusRemoved(id, result)
            }
            Call::LogTail(name, id, began, limit) => {
                let lines = log_tail(engine, &id, began, limit.saturating_sub(LOG_MARGIN)).await;
                Done::LogTail(name, lines)
            }
        }
    }

    async fn obtain(
        &self,
        image: &str,
        build: Option<Build>,
        service: &str,
        cluster: ClusterName,
        mut labels: BTreeMap<String, String>,
    ) -> Result<Option<ImageInfo>, EngineError> {
        use crate::engine::labels::COMPOSE_SERVICE;
        let mut steps = match build {
            Some(build) => {
                labels.insert(COMPOSE_SERVICE.to_owned(), service.to_owned());
                self.engine.build(&BuildRequest {
                    tag: image.to_owned(),
                    cluster,
                    build,
                    labels,
                    every_platform: false,
                })
            }
            None => self.engine.pull(image),
        };
        while let Some(step) = steps.next().await {
            let progress: Progress = step?;
            _ = self.outbox.send(Input::Progress { image: image.to_owned(), progress });
        }
        match self.engine.image(image).await {
            Ok(None) => Err(EngineError {
                verb: Verb::FindImage(image.to_owned()),
                kind: ErrorKind::ImageMissing,
                message: "it isn't there after the pull or build".into(),
            }),
            found => found,
        }
    }
}

/// Bounds a call that only looks.
async fn read<T>(verb: Verb, call: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    tokio::time::timeout(READ_LIMIT, call).await.unwrap_or_else(|_| {
        let message = format!("no answer within {}", human(READ_LIMIT));
        Err(EngineError { verb, kind: ErrorKind::Timeout(READ_LIMIT), message })
    })
}

/// The last lines of a container's log, as far as they can be had within `limit`: those of the run that began at this
/// time, or of earlier ones if it said nothing.
async fn log_tail<E: Engine>(engine: &E, id: &ContainerId, began: Option<Timestamp>, limit: Duration) -> Vec<String> {
    let query = LogQuery { follow: false, tail: Some(LOG_LINES), since: None };
    let mut stream = engine.logs(id, &query);
    let mut lines = Vec::new();
    let read = async {
        while let Some(Ok(line)) = stream.next().await {
            lines.push(line);
        }
    };
    if tokio::time::timeout(limit, read).await.is_err() {
        debug!("the log could not be read in time");
    }
    let of_run = began.map_or(&lines[..], |began| of_last_run(&lines, began));
    of_run.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
}

/// Lines since the last run began; all if there are none. The engine notes a start when the process runs already, on a
/// busy machine a while later: lines that come close before that moment, one after the other, are of the same run.
fn of_last_run(lines: &[LogLine], began: Timestamp) -> &[LogLine] {
    let mut since = began;
    let mut first = lines.len();
    while let Some(line) = first.checked_sub(1).map(|before| &lines[before]) {
        // A line whose time can't be read is shown rather than lost.
        let at = line.at.unwrap_or(since);
        if since.duration_since(at) > START_NOTED {
            break;
        }
        since = since.min(at);
        first -= 1;
    }
    if first == lines.len() { lines } else { &lines[first..] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LogSource;

    /// What is quoted of lines at these times in ms, when the last run is noted to have begun at `began`.
    fn quoted(times: &[i64], began: i64) -> Vec<i64> {
        let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        let line = |ms: &i64| LogLine { source: LogSource::Out, at: Some(at(*ms)), text: "".into() };
        let lines: Vec<_> = times.iter().map(line).collect();
        of_last_run(&lines, at(began)).iter().map(|line| line.at.unwrap().as_millisecond()).collect()
    }

    #[test]
    fn only_lines_of_the_last_run_are_quoted() {
        assert_eq!(quoted(&[100, 900, 1500, 2600], 1400), [1500, 2600]);
        assert_eq!(quoted(&[1500, 2600], 1400), [1500, 2600]);
        assert_eq!(quoted(&[], 1400), [] as [i64; 0]);
    }

    #[test]
    fn a_start_that_is_noted_late_loses_no_line() {
        assert_eq!(quoted(&[100, 900, 1300, 1350, 1360, 2000], 1400), [1300, 1350, 1360, 2000]);
        assert_eq!(quoted(&[100, 1350, 1360], 1400), [1350, 1360]);
    }

    #[test]
    fn a_run_that_said_nothing_leaves_those_before_it() {
        assert_eq!(quoted(&[100, 900], 1400), [100, 900]);
    }

    #[test]
    fn lines_of_two_streams_may_be_out_of_order() {
        assert_eq!(quoted(&[100, 1500, 1490, 1510, 1380], 1400), [1500, 1490, 1510, 1380]);
    }
}
