//! Commands that run inside containers.

use super::behaviour::ExecScript;
use super::world::{Trouble, World};
use crate::engine::{ErrorKind, ExecOutcome};
use crate::names::ContainerId;

/// Exit code of a command whose container ended under it.
const ENDED_WITH_CONTAINER: i64 = 137;

/// A command that was begun.
#[derive(Debug, Clone)]
pub(super) struct Exec {
    container: ContainerId,
    run: u64,
    script: ExecScript,
    done: bool,
}

impl World {
    /// Begins a command in a running container; gives its number.
    pub(super) fn begin_exec(&mut self, id: &ContainerId, command: &[String]) -> Result<usize, Trouble> {
        let container = self.container(id)?;
        if !container.runs() {
            return Err((ErrorKind::Conflict, format!("Container {id} is not running")));
        }
        container.execs += 1;
        let (run, container) = (container.run, container.clone());
        let script = self.exec_script(&container, command);
        let number = self.execs.len();
        if let Some(takes) = script.takes {
            self.after(takes, move |world| world.end_exec(number));
        }
        self.execs.push(Exec { container: id.clone(), run, script, done: false });
        Ok(number)
    }

    fn end_exec(&mut self, number: usize) {
        let Some(exec) = self.execs.get_mut(number) else { return };
        exec.done = true;
        let (id, run) = (exec.container.clone(), exec.run);
        if let Some(container) = self.in_run(&id, run) {
            container.execs = container.execs.saturating_sub(1);
        }
        self.dirty = true;
    }

    /// How a command ended; None while it runs.
    pub(super) fn exec_outcome(&mut self, number: usize) -> Option<ExecOutcome> {
        let exec = self.execs.get(number)?.clone();
        if exec.done {
            return Some(ExecOutcome { code: exec.script.code, output: exec.script.output });
        }
        let ended = self.in_run(&exec.container, exec.run).is_none();
        ended.then(|| ExecOutcome { code: ENDED_WITH_CONTAINER, output: String::new() })
    }
}
