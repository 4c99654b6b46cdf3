//! Images: looking, pulling, loading.

use std::collections::HashMap;

use bollard::models::{CreateImageInfo, ProgressDetail};
use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptionsBuilder, RemoveImageOptions};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::connect::DockerEngine;
use super::convert;
use super::failure::{WORK, explain, refused, within};
use crate::engine::archive::ImageArchive;
use crate::engine::{EngineError, ErrorKind, ImageInfo, Progress, Result, Verb};

impl DockerEngine {
    pub(super) async fn find_image(&self, reference: &str) -> Result<Option<ImageInfo>> {
        let verb = Verb::FindImage(reference.to_owned());
        checked(reference).map_err(|text| refused(verb.clone(), text))?;
        match within(WORK, verb, self.docker().inspect_image(reference)).await {
            Ok(inspected) => Ok(Some(convert::image(inspected))),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::ImageMissing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn pull_image(&self, reference: &str) -> BoxStream<'static, Result<Progress>> {
        let verb = Verb::Pull(reference.to_owned());
        if let Err(text) = checked(reference) {
            return stream::iter([Err(refused(verb, text))]).boxed();
        }
        let engine = self.clone();
        let reference = reference.to_owned();
        stream::once(async move { engine.start_pull(verb, &reference).await }).flatten().boxed()
    }

    async fn start_pull(&self, verb: Verb, reference: &str) -> BoxStream<'static, Result<Progress>> {
        let (credentials, trouble) = match self.inner.credentials.for_image(reference).await {
            Ok(found) => (found, None),
            // Many images need none, so that the pull is tried; if it fails, this is the likely reason.
            Err(trouble) => (None, Some(trouble)),
        };
        let (name, tag) = name_and_tag(reference);
        let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
        let mut layers = Layers::default();
        self.docker()
            .create_image(Some(options), None, credentials)
            .map(move |item| item.and_then(stream_error))
            .map_ok(move |info| layers.progress(info))
            .map_err(move |error| with_trouble(explain(verb.clone(), error), trouble.as_deref()))
            .boxed()
    }

    /// Gives the engine an image made by convoke. Nothing is sent if it has exactly this one under this name.
    ///
    /// # Errors
    /// When the engine refuses the archive, or doesn't answer within a minute.
    pub async fn load(&self, archive: &ImageArchive) -> Result<()> {
        if self.find_image(&archive.name).await?.is_some_and(|image| image.id == archive.id) {
            return Ok(());
        }
        let body = bollard::body_full(archive.bytes.clone());
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let answers = self.docker().import_image(options, body, None).try_for_each(|_| async { Ok(()) });
        within(WORK, Verb::Load(archive.name.clone()), answers).await
    }

    /// Removes an image's name, and the image itself if that was its last one and no container uses it.
    ///
    /// # Errors
    /// When a container uses it, or the engine doesn't answer.
    pub async fn remove_image(&self, reference: &str) -> Result<()> {
        let verb = Verb::Remove(format!("image {reference}"));
        checked(reference).map_err(|text| refused(verb.clone(), text))?;
        match within(WORK, verb, self.docker().remove_image(reference, None::<RemoveImageOptions>, None)).await {
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::ImageMissing) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// The client puts a reference into a URL as it is: what could change that URL's meaning is refused here, and the
/// grammar proper is left to the engine.
pub(super) fn checked(reference: &str) -> std::result::Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
    let sound = !reference.is_empty()
        && reference.chars().all(allowed)
        && reference.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if sound { Ok(()) } else { Err(format!("{reference:?} is not an image reference")) }
}

/// What the engine's pull takes: a digest goes with the name, and without a tag it would fetch every one there is.
pub(super) fn name_and_tag(reference: &str) -> (&str, &str) {
    if reference.contains('@') {
        return (reference, "");
    }
    match reference.rsplit_once(':') {
        // A colon before the last slash is a port's.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// Errors within the stream are items of it, which the client doesn't turn into errors for pulls.
fn stream_error(info: CreateImageInfo) -> std::result::Result<CreateImageInfo, bollard::errors::Error> {
    match info.error_detail {
        Some(detail) => Err(bollard::errors::Error::DockerStreamError {
            error: detail.message.unwrap_or_else(|| "the engine gives no reason".to_owned()),
        }),
        None => Ok(info),
    }
}

pub(super) fn with_trouble(mut error: EngineError, trouble: Option<&str>) -> EngineError {
    if let Some(trouble) = trouble {
        error.message = format!("{} (without credentials: {trouble})", error.message);
    }
    error
}

/// Bytes of all layers together; the engine counts each for itself.
#[derive(Default)]
struct Layers {
    downloads: HashMap<String, (u64, u64)>,
}

impl Layers {
    fn progress(&mut self, info: CreateImageInfo) -> Progress {
        let text = info.status.unwrap_or_default();
        let layer = info.id.unwrap_or_default();
        match (text.as_str(), info.progress_detail.as_ref().and_then(bytes)) {
            ("Downloading", Some(counted)) => _ = self.downloads.insert(layer, counted),
            // Unpacking counts from zero again; whatever comes after the download says that it is over.
            _ => self.complete(&layer),
        }
        let (current, total) =
            self.downloads.values().fold((0_u64, 0_u64), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        let known = total > 0;
        Progress { text, current: known.then_some(current), total: known.then_some(total) }
    }

    fn complete(&mut self, layer: &str) {
        if let Some(pair) = self.downloads.get_mut(layer) {
            pair.0 = pair.1;
        }
    }
}

fn bytes(detail: &ProgressDetail) -> Option<(u64, u64)> {
    Some((u64::try_from(detail.current?).ok()?, u64::try_from(detail.total?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        assert_eq!(name_and_tag("postgres"), ("postgres", "latest"));
        assert_eq!(name_and_tag("box:5000/app"), ("box:5000/app", "latest"));
        assert_eq!(name_and_tag("box:5000/app:1.2"), ("box:5000/app", "1.2"));
        assert_eq!(name_and_tag("app@sha256:00"), ("app@sha256:00", ""));
        assert_eq!(name_and_tag("app:1@sha256:00"), ("app:1@sha256:00", ""));
        for wrong in ["", "a b", "a?x=1", "../containers/x", "/a", "a//b", "a#b", "a%2f"] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
        checked("ghcr.io:443/Me/app_x:1.2-3@sha256:00").unwrap();
    }

    #[test]
    fn bytes_of_all_layers_are_added_up() {
        let mut layers = Layers::default();
        let mut say = |id: &str, status: &str, detail: Option<(i64, i64)>| {
            let progress_detail =
                detail.map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) });
            let info = CreateImageInfo {
                id: Some(id.into()),
                status: Some(status.into()),
                progress_detail,
                ..Default::default()
            };
            let progress = layers.progress(info);
            (progress.current, progress.total)
        };
        assert_eq!(say("latest", "Pulling from library/x", None), (None, None));
        assert_eq!(say("a", "Downloading", Some((10, 100))), (Some(10), Some(100)));
        assert_eq!(say("b", "Downloading", Some((5, 50))), (Some(15), Some(150)));
        assert_eq!(say("a", "Extracting", Some((1, 100))), (Some(105), Some(150)));
        assert_eq!(say("b", "Pull complete", None), (Some(150), Some(150)));
    }
}
