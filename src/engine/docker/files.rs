//! Files of a container as tar archives, in and out.

use std::io;

use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;

use super::connect::DockerEngine;
use super::failure::{QUESTION, explain, within};
use crate::engine::{ErrorKind, Result, Verb};
use crate::names::ContainerId;

/// Bits of a file's mode as the engine tells it: not the kernel's.
const DIRECTORY: u64 = 1 << 31;
const LINK: u64 = 1 << 27;

/// An archive in pieces, until one of them is an error.
pub type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// What a path of a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// A directory, and no link to one.
    pub is_directory: bool,
    /// Where a link leads to, as an absolute path.
    pub link: Option<String>,
}

impl DockerEngine {
    /// What there is at an absolute path of a container; None: nothing.
    ///
    /// # Errors
    /// When the container is gone, or the engine doesn't answer.
    pub async fn stat_path(&self, id: &ContainerId, path: &str) -> Result<Option<PathStat>> {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        let call = self.docker().get_container_archive_info(id.as_str(), Some(options));
        match within(QUESTION, Verb::GetFiles(self.name_of(id)), call).await {
            Ok(stat) => {
                let mode = u64::from(stat.file_mode);
                let link = (mode & LINK != 0).then_some(stat.link_target);
                Ok(Some(PathStat { is_directory: mode & DIRECTORY != 0, link }))
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The archive of an absolute path of a container: a file, or a directory with all that is in it, under its last
    /// name. It has no time limit of its own.
    pub fn read_path(&self, id: &ContainerId, path: &str) -> mpsc::Receiver<Result<Bytes>> {
        let (sender, receiver) = mpsc::channel(16);
        let (engine, id, path) = (self.clone(), id.clone(), path.to_owned());
        tokio::spawn(async move {
            let options = DownloadFromContainerOptionsBuilder::default().path(&path).build();
            let mut pieces = std::pin::pin!(engine.docker().download_from_container(id.as_str(), Some(options)));
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| explain(Verb::GetFiles(engine.name_of(&id)), error));
                // The caller gave up.
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    /// Unpacks an archive in a directory of a container. A directory never takes the place of a file, nor the other way
    /// round. It has no time limit of its own.
    ///
    /// # Errors
    /// When the directory isn't there, the engine refuses the archive, or that breaks off.
    pub async fn write_path(&self, id: &ContainerId, directory: &str, archive: Pieces) -> Result<()> {
        let options = UploadToContainerOptionsBuilder::default().path(directory).no_overwrite_dir_non_dir("1").build();
        let pieces = stream::unfold(archive, |mut archive| async move { Some((archive.recv().await?, archive)) });
        let call = self.docker().upload_to_container(id.as_str(), Some(options), bollard::body_try_stream(pieces));
        call.await.map_err(|error| explain(Verb::PutFiles(self.name_of(id)), error))
    }
}
