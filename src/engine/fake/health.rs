//! The engine's own health checks.

use std::time::Duration;

use super::world::World;
use crate::cluster::HealthCheck;
use crate::engine::HealthStatus;
use crate::names::ContainerId;

impl World {
    /// Plans the next check of a run: one interval from now, the first one too.
    pub(super) fn schedule_health_check(&mut self, id: &ContainerId, run: u64) {
        let Some(check) = self.containers.get(id).and_then(|container| container.health_check.clone()) else { return };
        let id = id.clone();
        self.after(check.interval.max(Duration::from_millis(1)), move |world| {
            let runs = world.in_run(&id, run).is_some();
            if runs {
                world.check_health(&id, &check);
            }
            if runs || world.is_frozen(&id, run) {
                world.schedule_health_check(&id, run);
            }
        });
    }

    fn check_health(&mut self, id: &ContainerId, check: &HealthCheck) {
        let Some(container) = self.containers.get(id) else { return };
        let script = self.exec_script(container, &check.command);
        let passed = script.code == 0 && script.takes.is_some_and(|takes| takes <= check.timeout);
        let early = self.now.saturating_sub(container.started_at.unwrap_or(self.now)) < check.start_period;
        let Some(health) = self.containers.get_mut(id).and_then(|container| container.health.as_mut()) else { return };
        health.output = script.output;
        health.failures = match (passed, early) {
            (true, _) => 0,
            (false, true) => health.failures,
            (false, false) => health.failures + 1,
        };
        let was = health.status;
        if passed {
            health.status = HealthStatus::Healthy;
        } else if health.failures >= check.retries.max(1) {
            health.status = HealthStatus::Unhealthy;
        }
        if health.status != was {
            self.emit(id, "health_status");
        }
    }
}
