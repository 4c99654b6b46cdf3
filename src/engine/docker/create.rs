//! Making a container: the create call, further networks, files, and only then its name.
//!
//! Where more than the create call is needed, the container is made under a name with the suffix [`labels::UNFINISHED`] and
//! renamed at the end. Convoke may be killed in between, and a container that lacks a file or a network must not be
//! taken for a complete one by the next run: it finds the suffix, and `convert` hides the configuration hash.

use bollard::models::NetworkConnectRequest;
use bollard::query_parameters::{CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;

use super::attach;
use super::connect::DockerEngine;
use super::container_body;
use super::failure::{WORK, refused, within};
use crate::cluster::FileContent;
use crate::engine::archive::{self, PlacedFile};
use crate::engine::{CreateContainer, EngineError, ErrorKind, Result, Verb, labels};
use crate::names::ContainerId;

impl DockerEngine {
    pub(super) async fn make_container(&self, request: &CreateContainer) -> Result<ContainerId> {
        let (_, later) = attach::split(&request.networks, self.inner.api);
        let has_files = !request.files.is_empty() || !request.owners.is_empty();
        if later.is_empty() && !has_files {
            return self.create(request, &request.name).await;
        }
        // Read before anything is made: a missing file is the likeliest failure.
        let archive = if has_files { Some(files_archive(request).await?) } else { None };
        let id = self.create_unfinished(request).await?;
        match self.finish(&id, request, archive).await {
            Ok(()) => Ok(id),
            Err(error) => {
                if let Err(second) = self.remove_container(&id, true).await {
                    tracing::warn!(container = %request.name, %second, "an unfinished container stays behind");
                }
                Err(error)
            }
        }
    }

    /// The leftover of a killed run may hold the name: it goes, if it is ours, and the call is made again.
    async fn create_unfinished(&self, request: &CreateContainer) -> Result<ContainerId> {
        let name = format!("{}{}", request.name, labels::UNFINISHED);
        match self.create(request, &name).await {
            Err(error) if error.kind == ErrorKind::NameTaken => {
                let Some(left) = self.leftover(&name, request).await? else { return Err(error) };
                self.remove_container(&left, true).await?;
                self.create(request, &name).await
            }
            made => made,
        }
    }

    async fn leftover(&self, name: &str, request: &CreateContainer) -> Result<Option<ContainerId>> {
        let Ok(name) = ContainerId::new(name) else { return Ok(None) };
        let found = self.inspect_container(&name).await?;
        let ours =
            found.filter(|left| left.label(labels::CLUSTER) == request.labels.get(labels::CLUSTER).map(String::as_str));
        Ok(ours.filter(|left| left.label(labels::CLUSTER).is_some()).map(|left| left.id))
    }

    async fn create(&self, request: &CreateContainer, name: &str) -> Result<ContainerId> {
        let verb = || Verb::Create(request.component.to_string());
        let body = container_body::body(request, self.inner.api).map_err(|text| refused(verb(), text))?;
        let platform = request.spec.platform.as_deref().unwrap_or_default();
        let options = CreateContainerOptionsBuilder::default().name(name).platform(platform).build();
        let made = within(WORK, verb(), self.docker().create_container(Some(options), body)).await?;
        for warning in made.warnings {
            tracing::debug!(container = name, warning, "the engine warns");
        }
        let id = ContainerId::new(made.id).map_err(|error| EngineError {
            verb: verb(),
            kind: ErrorKind::Internal,
            message: error.to_string(),
        })?;
        self.remember(&id, request.component.as_str());
        Ok(id)
    }

    async fn finish(&self, id: &ContainerId, request: &CreateContainer, archive: Option<Bytes>) -> Result<()> {
        let (_, later) = attach::split(&request.networks, self.inner.api);
        // One after another: interfaces are numbered in this order.
        for network in later {
            let connect = NetworkConnectRequest {
                container: id.to_string(),
                endpoint_config: Some(attach::endpoint_of(network, request, self.inner.api)),
            };
            let verb = Verb::Create(request.component.to_string());
            within(WORK, verb, self.docker().connect_network(&network.network_id, connect)).await?;
        }
        if let Some(archive) = archive {
            self.put_files(id, archive).await?;
        }
        self.rename_container(id, &request.name).await
    }

    async fn put_files(&self, id: &ContainerId, archive: Bytes) -> Result<()> {
        // Never a file in place of a directory of the image, or the other way round.
        let options = UploadToContainerOptionsBuilder::default().path("/").no_overwrite_dir_non_dir("1").build();
        let verb = Verb::PutFiles(self.name_of(id));
        let body = bollard::body_full(archive);
        within(WORK, verb, self.docker().upload_to_container(id.as_str(), Some(options), body)).await
    }
}

/// The tar of all files and volume roots, with what is on the client's disk read in.
async fn files_archive(request: &CreateContainer) -> Result<Bytes> {
    let verb = || Verb::PutFiles(request.component.to_string());
    let mut files = Vec::with_capacity(request.files.len());
    for file in &request.files {
        let content = match &file.content {
            FileContent::Inline { bytes } => Bytes::copy_from_slice(bytes),
            FileContent::Path { path } => {
                let read = tokio::fs::read(path).await;
                read.map_err(|error| refused(verb(), format!("{}: {error}", path.display())))?.into()
            }
        };
        files.push(PlacedFile { target: file.target.clone(), content, uid: file.uid, gid: file.gid, mode: file.mode });
    }
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    let tar = archive::container_files(&files, &request.owners, now);
    tar.map(Bytes::from).map_err(|error| refused(verb(), error.to_string()))
}
