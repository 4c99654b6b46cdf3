//! `post_start` and `pre_stop`: commands that are run in a container around its life.
//!
//! After each start that convoke makes, and before each stop; not where the engine starts a container by its policy, nor
//! before a kill. A run that is killed between a start and its hooks leaves them undone until the next start: nothing in
//! the engine tells of them.

use std::time::Duration;

use tokio::time::Instant;

use super::driver::Driver;
use super::input::Call;
use crate::cluster::{Hook, Stored};
use crate::engine::{Engine, ErrorKind, ExecOutcome, ExecRequest, ObservedContainer, Status, labels};
use crate::names::{ComponentName, ContainerId};
use crate::units::human;

/// Output of a hook that failed is quoted up to so many bytes.
const QUOTED: usize = 500;
/// However long hooks took, a container has this long between its stop signal and SIGKILL, unless it was to have less.
const LEAST_GRACE: Duration = Duration::from_secs(1);

impl Driver {
    /// Runs what is to be run after a start that went well.
    pub(super) fn run_hooks(&mut self, name: &ComponentName, id: &ContainerId) {
        let Some(node) = self.nodes.get(name).filter(|node| node.hooks_due) else { return };
        let (run, hooks) = (node.run, node.component.hooks.post_start.clone());
        self.call(Call::PostStart(name.clone(), id.clone(), run, hooks));
    }

    pub(super) fn take_hooked(&mut self, name: &ComponentName, run: u64, result: Result<(), String>) {
        // A container that ended meanwhile has more to say than its hook.
        let Some(node) = self.nodes.get_mut(name).filter(|node| node.run == run) else { return };
        node.hooks_due = false;
        if let Err(what) = result {
            let hint = "it is run as soon as the container has started: what it needs may not be there yet";
            self.fail_component(name, what, Some(hint.to_owned()));
        }
    }
}

/// What is to be run before the container is stopped; nothing unless it runs.
pub(super) fn pre_stop_of(container: &ObservedContainer) -> Vec<Hook> {
    let label = container.label(labels::PROBES).filter(|_| container.state.status == Status::Running);
    let stored: Option<Stored> = label.and_then(|text| serde_json::from_str(text).ok());
    stored.map(|stored| stored.hooks.pre_stop).unwrap_or_default()
}

/// Runs the hooks one after another, up to the first that fails; what is wrong with it.
pub(super) async fn post_start<E: Engine>(engine: &E, id: &ContainerId, hooks: &[Hook]) -> Result<(), String> {
    for hook in hooks {
        run(engine, id, hook).await.map_err(|why| format!("its post_start hook {:?} {why}", hook.line()))?;
    }
    Ok(())
}

/// Runs the hooks one after another within the grace period; what is left of that, and what went wrong. The container is
/// stopped all the same.
pub(super) async fn pre_stop<E: Engine>(
    engine: &E,
    id: &ContainerId,
    hooks: &[Hook],
    grace: Duration,
) -> (Duration, Vec<String>) {
    let begun = Instant::now();
    let mut troubles = Vec::new();
    for hook in hooks {
        let left = grace.saturating_sub(begun.elapsed());
        let ended = tokio::time::timeout(left, run(engine, id, hook)).await;
        let why = match ended {
            Ok(Ok(())) => continue,
            Ok(Err(why)) => why,
            Err(_) => format!("hasn't ended within the grace period of {}", human(grace)),
        };
        troubles.push(format!("its pre_stop hook {:?} {why}", hook.line()));
    }
    (grace.saturating_sub(begun.elapsed()).max(LEAST_GRACE.min(grace)), troubles)
}

async fn run<E: Engine>(engine: &E, id: &ContainerId, hook: &Hook) -> Result<(), String> {
    let request = ExecRequest {
        command: hook.command.clone(),
        keep_output: QUOTED,
        user: hook.user.clone(),
        privileged: hook.privileged,
        working_dir: hook.working_dir.clone(),
        environment: hook.environment.clone(),
    };
    match engine.exec(id, &request).await {
        Ok(ExecOutcome { code: 0, .. }) => Ok(()),
        Ok(ExecOutcome { code, output }) if output.trim().is_empty() => Err(format!("exited with {code}")),
        Ok(ExecOutcome { code, output }) => Err(format!("exited with {code}: {}", output.trim())),
        // Its end is told by what the engine shows.
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) => Ok(()),
        Err(error) => Err(format!("can't be run: {error}")),
    }
}
