//! How the engine moves a container from state to state: started, ended, restarted by its policy, stopped, removed.
//! What its program does meanwhile is in `process.rs`.

use std::time::Duration;

use super::behaviour::Behaviour;
use super::container::{Container, HealthRun};
use super::world::{Trouble, World};
use crate::engine::{ErrorKind, HealthStatus, LogSource, Status, labels};
use crate::names::ContainerId;

/// The engine's first pause before it restarts a container; it doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// A run of this length resets the pause.
const GOOD_RUN: Duration = Duration::from_secs(10);
/// How often a frozen container's end is looked at.
const FROZEN_PAUSE: Duration = Duration::from_millis(100);
/// Exit code of a process ended by SIGKILL.
const KILLED: i64 = 137;

impl World {
    /// `start`: a running container, or one that waits to be restarted, is left alone.
    pub(super) fn start_container(&mut self, id: &ContainerId) -> Result<(), Trouble> {
        let container = self.container(id)?;
        match container.status {
            Status::Running | Status::Restarting | Status::Paused => return Ok(()),
            Status::Removing | Status::Dead => {
                return Err((ErrorKind::Conflict, "container is marked for removal and cannot be started".to_owned()));
            }
            Status::Created | Status::Exited => {}
        }
        container.stopped_by_call = false;
        container.restart_count = 0;
        container.backoff = Duration::ZERO;
        let (name, labels) = (container.name.clone(), container.labels.clone());
        if let Some(gone) = container.shares_network.clone().filter(|id| !self.containers.contains_key(id)) {
            return Err((ErrorKind::NotFound, format!("No such container: {gone}")));
        }
        self.check_ours("started", &name, &labels);
        self.begin_run(id)
    }

    /// Starts the process, or leaves the engine's text about why it couldn't.
    fn begin_run(&mut self, id: &ContainerId) -> Result<(), Trouble> {
        let container = self.container(id)?.clone();
        let behaviour = self.behaviour_of(&container);
        if let Err(trouble) = self.prepare_run(id, &behaviour) {
            let container = self.container(id)?;
            container.error.clone_from(&trouble.1);
            container.exit_code = if trouble.0 == ErrorKind::CommandInvalid { 127 } else { 128 };
            return Err(trouble);
        }
        let nth = self.count_start(id);
        self.schedule_run(id, &behaviour, nth);
        self.emit(id, "start");
        if let Some((names, code)) = &behaviour.resolves
            && let Some(name) = names.iter().find(|name| !self.resolves(id, name)).cloned()
        {
            let run = self.container(id)?.run;
            self.print(id, run, LogSource::Err, &format!("{name}: Name or service not known"));
            self.end_run(id, run, *code, false);
        } else {
            self.progress();
        }
        Ok(())
    }

    fn prepare_run(&mut self, id: &ContainerId, behaviour: &Behaviour) -> Result<(), Trouble> {
        let addresses = self.hand_out_addresses(id)?;
        let bound = self.bind_ports(id)?;
        if behaviour.missing_command {
            let text = "OCI runtime create failed: exec: executable file not found in $PATH: unknown";
            return Err((ErrorKind::CommandInvalid, text.to_owned()));
        }
        self.runs += 1;
        let (run, now) = (self.runs, self.now);
        let container = self.container(id)?;
        container.run = run;
        container.status = Status::Running;
        container.started_at = Some(now);
        container.exit_code = 0;
        container.oom_killed = false;
        container.error.clear();
        container.bound = bound;
        container.health = container.health_check.is_some().then(|| HealthRun {
            status: HealthStatus::Starting,
            failures: 0,
            output: String::new(),
        });
        for (at, (network, address)) in container.endpoints.iter_mut().zip(addresses) {
            at.network_id = network;
            at.address = Some(address);
        }
        Ok(())
    }

    /// Counts the start for its component; two running containers of one component are a broken promise.
    fn count_start(&mut self, id: &ContainerId) -> u64 {
        let Some(container) = self.containers.get(id) else { return 1 };
        let component = container.labels.get(labels::COMPONENT).cloned().unwrap_or_else(|| container.name.clone());
        let cluster = container.cluster().map(str::to_owned);
        let twins = self.containers.values().filter(|at| at.runs() && at.is(cluster.as_deref(), &component)).count();
        if twins > 1 {
            self.violations.push(format!("{:?}: {twins} running containers for {component}", self.now));
        }
        let count = self.starts.entry((cluster.unwrap_or_default(), component)).or_default();
        *count += 1;
        *count
    }

    /// The process ends by itself.
    pub(super) fn end_run(&mut self, id: &ContainerId, run: u64, code: i64, oom: bool) {
        let now = self.now;
        if self.is_frozen(id, run) {
            // It ends once it goes on.
            let id = id.clone();
            self.after(FROZEN_PAUSE, move |world| world.end_run(&id, run, code, oom));
            return;
        }
        let Some(container) = self.in_run(id, run) else { return };
        let stopping = std::mem::take(&mut container.stopping);
        container.stop_being_up(now, code);
        container.oom_killed = oom;
        let lasted = now.saturating_sub(container.started_at.unwrap_or(now));
        let restarts = container.is_restarted(code);
        let mut pause = Duration::ZERO;
        if restarts {
            let fresh = container.backoff.is_zero() || lasted >= GOOD_RUN;
            pause = if fresh { FIRST_BACKOFF } else { (container.backoff * 2).min(LONGEST_BACKOFF) };
            container.backoff = pause;
            container.restart_count += 1;
            container.status = Status::Restarting;
        }
        if oom {
            self.emit(id, "oom");
        }
        self.emit_end(id, code);
        if stopping {
            self.emit(id, "stop");
        }
        if restarts {
            let id = id.clone();
            self.after(pause, move |world| world.restart_by_policy(&id, run));
        }
    }

    fn restart_by_policy(&mut self, id: &ContainerId, run: u64) {
        let waits = |container: &Container| container.run == run && container.status == Status::Restarting;
        let Some(container) = self.containers.get_mut(id).filter(|container| waits(container)) else { return };
        container.status = Status::Exited;
        // What fails here leaves the container exited with the engine's text, as in the real one.
        let _ = self.begin_run(id);
    }

    /// `stop`, its first half: the signal, and SIGKILL after `grace`. The caller waits for the end.
    pub(super) fn ask_to_stop(&mut self, id: &ContainerId, grace: Duration) -> Result<(), Trouble> {
        let container = self.container(id)?;
        let (name, labels) = (container.name.clone(), container.labels.clone());
        let was = container.status;
        if !matches!(was, Status::Running | Status::Restarting | Status::Paused) {
            return Ok(());
        }
        self.thaw(id);
        let container = self.container(id)?;
        container.stopped_by_call = true;
        let run = container.run;
        self.check_ours("stopped", &name, &labels);
        if was == Status::Restarting {
            self.container(id)?.status = Status::Exited;
            self.emit(id, "stop");
            return Ok(());
        }
        self.container(id)?.stopping = true;
        self.emit(id, "kill");
        self.terminate(id, run);
        if self.is_unkillable(id) {
            return Ok(());
        }
        let id = id.clone();
        self.after(grace, move |world| world.end_run(&id, run, KILLED, false));
        Ok(())
    }

    /// Whether it runs, and SIGKILL doesn't end it.
    fn is_unkillable(&self, id: &ContainerId) -> bool {
        let found = self.containers.get(id).filter(|container| !container.rests());
        found.is_some_and(|container| self.behaviour_of(container).unkillable)
    }

    /// Delivers SIGTERM.
    fn terminate(&mut self, id: &ContainerId, run: u64) {
        let Some(container) = self.containers.get(id) else { return };
        if let Some((after, code)) = self.behaviour_of(container).on_term {
            let id = id.clone();
            self.after(after, move |world| world.end_run(&id, run, code, false));
        }
    }

    /// `kill`.
    pub(super) fn signal(&mut self, id: &ContainerId, signal: &str) -> Result<(), Trouble> {
        if signal.trim_start_matches("SIG") == "KILL" {
            self.thaw(id);
        }
        let container = self.container(id)?;
        if !matches!(container.status, Status::Running | Status::Paused) {
            let text = format!("Cannot kill container: {}: Container {} is not running", container.name, id);
            return Err((ErrorKind::Conflict, text));
        }
        let (name, labels, run) = (container.name.clone(), container.labels.clone(), container.run);
        container.stopped_by_call = true;
        self.check_ours("killed", &name, &labels);
        self.emit(id, "kill");
        match signal.trim_start_matches("SIG") {
            "KILL" | "9" => self.end_run(id, run, KILLED, false),
            "TERM" | "INT" | "QUIT" | "15" | "2" | "3" => self.terminate(id, run),
            _ => {}
        }
        Ok(())
    }

    /// `crash`: the process ends, and the policy answers.
    pub(super) fn crash_container(&mut self, id: &ContainerId) -> Result<(), Trouble> {
        let container = self.container(id)?;
        if !container.runs() {
            return Err((ErrorKind::Conflict, format!("Container {} is not running", container.name)));
        }
        let (name, labels, run) = (container.name.clone(), container.labels.clone(), container.run);
        self.check_ours("crashed", &name, &labels);
        self.end_run(id, run, KILLED, false);
        Ok(())
    }

    /// A frozen container goes on; what was due meanwhile happens now.
    fn thaw(&mut self, id: &ContainerId) {
        if let Some(container) = self.containers.get_mut(id).filter(|at| at.status == Status::Paused) {
            container.status = Status::Running;
            self.emit(id, "unpause");
            self.progress();
        }
    }

    /// Whether the container is frozen in this run.
    pub(super) fn is_frozen(&self, id: &ContainerId, run: u64) -> bool {
        self.containers.get(id).is_some_and(|container| container.run == run && container.status == Status::Paused)
    }

    /// `pause`; a frozen one is left alone.
    pub(super) fn pause(&mut self, id: &ContainerId) -> Result<(), Trouble> {
        let container = self.container(id)?;
        match container.status {
            Status::Paused => return Ok(()),
            Status::Running => {}
            _ => return Err((ErrorKind::Conflict, format!("Container {} is not running", id.short()))),
        }
        container.status = Status::Paused;
        let (name, labels) = (container.name.clone(), container.labels.clone());
        self.check_ours("paused", &name, &labels);
        self.emit(id, "pause");
        Ok(())
    }

    /// `unpause`; one that isn't frozen is left alone.
    pub(super) fn unpause(&mut self, id: &ContainerId) -> Result<(), Trouble> {
        let container = self.container(id)?;
        if container.status != Status::Paused {
            return Ok(());
        }
        let (name, labels) = (container.name.clone(), container.labels.clone());
        self.check_ours("unpaused", &name, &labels);
        self.thaw(id);
        Ok(())
    }

    /// `remove`, its first half: ends the process; the container is gone `takes` later. Ok(false): it is gone already.
    pub(super) fn begin_removal(&mut self, id: &ContainerId, volumes: bool, takes: Duration) -> Result<bool, Trouble> {
        let Some(container) = self.containers.get_mut(id) else { return Ok(false) };
        if container.status == Status::Removing {
            let text = format!("removal of container {} is already in progress", id.short());
            return Err((ErrorKind::Conflict, text));
        }
        let (name, labels, run) = (container.name.clone(), container.labels.clone(), container.run);
        self.check_ours("removed", &name, &labels);
        if self.is_unkillable(id) {
            let text = format!("cannot remove container {name}: could not kill: did not receive an exit event");
            return Err((ErrorKind::Internal, text));
        }
        self.thaw(id);
        let container = self.container(id)?;
        container.stopped_by_call = true;
        if container.runs() {
            self.emit(id, "kill");
            self.end_run(id, run, KILLED, false);
        }
        self.container(id)?.status = Status::Removing;
        let id = id.clone();
        self.after(takes, move |world| world.destroy(&id, volumes));
        Ok(true)
    }

    fn destroy(&mut self, id: &ContainerId, volumes: bool) {
        self.emit(id, "destroy");
        let Some(container) = self.containers.remove(id) else { return };
        for name in container.anonymous.values().filter(|_| volumes) {
            // Another container may hold a carried-over volume still: then it stays.
            let _ = self.drop_volume(name);
        }
    }

    /// The engine goes down: every process ends. Nobody hears of it, since all streams are broken.
    pub(super) fn end_all_runs(&mut self) {
        let now = self.now;
        let mut ended = Vec::new();
        for container in self.containers.values_mut().filter(|container| !container.rests()) {
            if container.runs() {
                ended.push(container.id.clone());
            }
            container.stop_being_up(now, KILLED);
        }
        for id in ended {
            self.emit_end(&id, KILLED);
        }
    }

    /// The engine comes back: it starts what its policy says.
    pub(super) fn resume_by_policy(&mut self) {
        let wanted: Vec<ContainerId> = self
            .containers
            .values()
            .filter(|container| container.status == Status::Exited && container.exit_code == KILLED)
            .filter(|container| container.is_restarted(KILLED))
            .map(|container| container.id.clone())
            .collect();
        for id in wanted {
            let _ = self.begin_run(&id);
        }
        self.dirty = true;
    }
}

impl Container {
    /// The process is gone: what came with it goes too.
    fn stop_being_up(&mut self, now: Duration, code: i64) {
        self.status = Status::Exited;
        self.exit_code = code;
        self.finished_at = Some(now);
        self.live = false;
        self.ready = false;
        self.was_ready = false;
        self.stopping = false;
        self.execs = 0;
        self.bound.clear();
        for at in &mut self.endpoints {
            at.address = None;
        }
    }
}
