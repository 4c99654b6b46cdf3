//! Starting, stopping, signalling, removing and renaming. "Already so" is success.

use std::time::Duration;

use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, TopOptions,
};

use super::connect::DockerEngine;
use super::container_body::seconds_up;
use super::convert::carried_volumes;
use super::failure::{WORK, timed_out, within};
use crate::engine::{ErrorKind, Result, Verb};
use crate::names::ContainerId;

/// How long a stop may take beyond its grace period: the kill, the network, the log.
const STOP_MARGIN: Duration = Duration::from_secs(30);
/// Pause between looks while somebody else's removal goes on.
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

/// Processes, each with a value for every title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processes {
    /// What the columns are.
    pub titles: Vec<String>,
    /// The processes.
    pub rows: Vec<Vec<String>>,
}

impl DockerEngine {
    pub(super) async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let call = self.docker().start_container(id.as_str(), None::<StartContainerOptions>);
        within(WORK, Verb::Start(self.name_of(id)), call).await
    }

    pub(super) async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<()> {
        let seconds = seconds_up(grace);
        let options = StopContainerOptionsBuilder::default().t(i32::try_from(seconds).unwrap_or(i32::MAX)).build();
        let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).saturating_add(STOP_MARGIN);
        let call = self.docker().stop_container(id.as_str(), Some(options));
        within(limit, Verb::Stop(self.name_of(id)), call).await
    }

    pub(super) async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<()> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        let call = self.docker().kill_container(id.as_str(), Some(options));
        within(WORK, Verb::Kill(self.name_of(id)), call).await
    }

    /// The processes of a running container, as the engine host's `ps` shows them.
    ///
    /// # Errors
    /// When it doesn't run, or the engine doesn't answer.
    pub async fn processes(&self, id: &ContainerId) -> Result<Processes> {
        let call = self.docker().top_processes(id.as_str(), None::<TopOptions>);
        let listed = within(WORK, Verb::Inspect(self.name_of(id)), call).await?;
        Ok(Processes { titles: listed.titles.unwrap_or_default(), rows: listed.processes.unwrap_or_default() })
    }

    pub(super) async fn pause_container(&self, id: &ContainerId) -> Result<()> {
        let call = self.docker().pause_container(id.as_str());
        already_so(within(WORK, Verb::Pause(self.name_of(id)), call).await, "already paused")
    }

    pub(super) async fn unpause_container(&self, id: &ContainerId) -> Result<()> {
        let call = self.docker().unpause_container(id.as_str());
        already_so(within(WORK, Verb::Unpause(self.name_of(id)), call).await, "not paused")
    }

    pub(super) async fn remove_container(&self, id: &ContainerId, volumes: bool) -> Result<()> {
        // The engine takes anonymous volumes along, but not those carried over from a predecessor: they have names.
        let carried = if volumes { self.carried_volumes_of(id).await? } else { Vec::new() };
        let options = RemoveContainerOptionsBuilder::default().force(true).v(volumes).build();
        let call = self.docker().remove_container(id.as_str(), Some(options));
        match within(WORK, Verb::Remove(self.name_of(id)), call).await {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) if error.kind == ErrorKind::Conflict && error.message.contains("in progress") => {
                self.wait_until_gone(id).await?;
            }
            other => other?,
        }
        for volume in carried {
            match self.drop_volume(&volume).await {
                // The successor has it.
                Err(error) if error.kind == ErrorKind::InUse => {}
                other => other?,
            }
        }
        Ok(())
    }

    async fn carried_volumes_of(&self, id: &ContainerId) -> Result<Vec<String>> {
        let found = self.inspect_container(id).await?;
        Ok(found.map(|container| carried_volumes(&container.labels)).unwrap_or_default())
    }

    async fn wait_until_gone(&self, id: &ContainerId) -> Result<()> {
        let gone = async {
            while self.inspect_container(id).await?.is_some() {
                tokio::time::sleep(REMOVAL_PAUSE).await;
            }
            Ok(())
        };
        let late = |_| timed_out(Verb::Remove(self.name_of(id)), WORK);
        tokio::time::timeout(WORK, gone).await.map_err(late)?
    }

    pub(super) async fn rename_container(&self, id: &ContainerId, name: &str) -> Result<()> {
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        let call = self.docker().rename_container(id.as_str(), options);
        match within(WORK, Verb::Rename(self.name_of(id)), call).await {
            Err(error) if error.message.contains("same name as its current name") => Ok(()),
            other => other,
        }
    }
}

/// The engine calls it a conflict, or a failure of its own, when there is nothing to do.
fn already_so(result: Result<()>, text: &str) -> Result<()> {
    match result {
        Err(error) if error.message.contains(text) => Ok(()),
        other => other,
    }
}
