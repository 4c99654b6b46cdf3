//! What the program in a container does while it runs: it prints, becomes live and ready, gives up, answers commands.

use std::time::Duration;

use super::behaviour::{Behaviour, ExecScript};
use super::container::{Container, Line};
use super::world::World;
use crate::engine::LogSource;
use crate::names::ContainerId;

/// What the shell says of a program that isn't there.
const NO_PROGRAM: i64 = 127;

/// What a frozen program would do is looked at again after this.
const WHILE_FROZEN: Duration = Duration::from_millis(100);

impl World {
    /// Plans what the program of a new run does, the component's `nth`.
    pub(super) fn schedule_run(&mut self, id: &ContainerId, behaviour: &Behaviour, nth: u64) {
        let Some(run) = self.containers.get(id).map(|container| container.run) else { return };
        self.after(behaviour.live_after, Self::progress);
        if let Some(ready_after) = behaviour.ready_after {
            self.after(ready_after, Self::progress);
        }
        // Before the exit: what is printed at that very moment is still seen.
        for (after, source, text) in behaviour.log.clone() {
            let id = id.clone();
            self.after(after, move |world| world.print(&id, run, source, &text));
        }
        let exit = behaviour.exit_of_start(nth).map(|exit| (exit.after, exit.code, exit.oom));
        let crash = self.draw_crash().map(|(after, code)| (after, code, false));
        for (after, code, oom) in exit.into_iter().chain(crash) {
            let id = id.clone();
            self.after(after, move |world| world.end_run(&id, run, code, oom));
        }
        if let Some((after, code)) = behaviour.gives_up {
            let id = id.clone();
            self.after(after, move |world| world.give_up(&id, run, code));
        }
        if let Some((pause, text)) = behaviour.log_every.clone() {
            self.print_again(id.clone(), run, pause, text);
        }
        self.schedule_health_check(id, run);
    }

    /// Writes a line of the log, if the run is still on; a frozen one does it when it goes on.
    pub(super) fn print(&mut self, id: &ContainerId, run: u64, source: LogSource, text: &str) {
        if self.is_frozen(id, run) {
            let (id, text) = (id.clone(), text.to_owned());
            return self.after(WHILE_FROZEN, move |world| world.print(&id, run, source, &text));
        }
        let at = self.now;
        if let Some(container) = self.in_run(id, run) {
            container.log.push(Line { at, source, text: text.to_owned() });
            self.dirty = true;
        }
    }

    fn print_again(&mut self, id: ContainerId, run: u64, pause: Duration, text: String) {
        let pause = pause.max(Duration::from_millis(1));
        self.after(pause, move |world| {
            if world.in_run(&id, run).is_some() || world.is_frozen(&id, run) {
                if !world.is_frozen(&id, run) {
                    world.print(&id, run, LogSource::Out, &text);
                }
                world.print_again(id, run, pause, text);
            }
        });
    }

    /// Works out who is live and who is ready now; one that becomes live may be what another waits for.
    pub(super) fn progress(&mut self) {
        while let Some((id, becomes_ready)) = self.next_progress() {
            let Some(container) = self.containers.get_mut(&id) else { return };
            container.live = true;
            container.ready |= becomes_ready;
            container.was_ready |= becomes_ready;
            let container = container.clone();
            self.dirty = true;
            if let Some(flaps) = self.behaviour_of(&container).flaps.filter(|_| becomes_ready) {
                self.schedule_flap(id, container.run, flaps);
            }
        }
    }

    fn next_progress(&self) -> Option<(ContainerId, bool)> {
        self.containers.values().filter(|container| container.runs() && !container.was_ready).find_map(|container| {
            let behaviour = self.behaviour_of(container);
            let age = self.now.saturating_sub(container.started_at?);
            let peers = |names: &[String]| names.iter().all(|name| self.peer_is_live(container, name));
            if !container.live {
                let live = age >= behaviour.live_after && peers(&behaviour.live_needs);
                return live.then(|| (container.id.clone(), false));
            }
            let due = behaviour.ready_after.is_some_and(|after| age >= after);
            (due && peers(&behaviour.ready_needs)).then(|| (container.id.clone(), true))
        })
    }

    /// Lets readiness come and go: the pause before this change is the first of the two, then they swap.
    fn schedule_flap(&mut self, id: ContainerId, run: u64, (pause, other): (Duration, Duration)) {
        self.after(pause.max(Duration::from_millis(1)), move |world| {
            if let Some(container) = world.in_run(&id, run) {
                container.ready = !container.ready;
                world.dirty = true;
                world.schedule_flap(id, run, (other, pause));
            }
        });
    }

    fn peer_is_live(&self, container: &Container, peer: &str) -> bool {
        self.containers
            .values()
            .any(|other| other.live && other.is(container.cluster(), peer) && container.shares_network(other))
    }

    fn give_up(&mut self, id: &ContainerId, run: u64, code: i64) {
        let Some(container) = self.in_run(id, run).map(|container| container.clone()) else { return };
        let behaviour = self.behaviour_of(&container);
        let mut needs = behaviour.live_needs.iter().chain(&behaviour.ready_needs);
        let missing = needs.find(|name| !self.peer_is_live(&container, name)).cloned();
        if let Some(missing) = missing.filter(|_| !container.ready) {
            self.print(id, run, LogSource::Err, &format!("could not reach {missing}"));
            self.end_run(id, run, code, false);
        }
    }

    /// How a command inside a container ends.
    pub(super) fn exec_script(&self, container: &Container, command: &[String]) -> ExecScript {
        let behaviour = self.behaviour_of(container);
        if let Some((_, script)) = behaviour.execs.iter().find(|(words, _)| command.starts_with(words)) {
            return script.clone();
        }
        if let Some(script) = self.programs.get(&container.image).and_then(|program| (program.exec)(command)) {
            return script;
        }
        let age = self.now.saturating_sub(container.started_at.unwrap_or(self.now));
        let takes = (!behaviour.hangs_probes).then_some(behaviour.exec_takes);
        let script = |code, output: &str, takes| ExecScript { code, output: output.to_owned(), takes };
        if behaviour.probe_program_after.is_none_or(|after| age < after) {
            let program = command.first().map_or("", String::as_str);
            let text = format!("exec: {program:?}: executable file not found in $PATH");
            return script(NO_PROGRAM, &text, Some(behaviour.exec_takes));
        }
        if container.ready { script(0, "", takes) } else { script(1, "not ready", takes) }
    }
}
