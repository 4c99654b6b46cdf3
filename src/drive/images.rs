//! Images: looked for at once, pulled or built when a component needs them.

use std::time::Duration;

use super::driver::{Driver, IMAGE_PATIENCE};
use super::input::Call;
use super::recover::LONGEST_PAUSE;
use crate::cluster::Component;
use crate::engine::{EngineError, ErrorKind, ImageInfo, Progress};
use crate::event::{EventKind, Outcome};
use crate::names::ComponentName;

/// How far an image is.
#[derive(Debug, Clone)]
pub(super) enum ImageState {
    /// Being looked for.
    Finding,
    /// Not there; nobody needed it so far.
    Missing,
    /// Being pulled or built; last progress at.
    Obtaining { progress_at: Duration, said_at: Option<Duration>, last: Option<Progress> },
    /// There.
    Ready(ImageInfo),
    /// The call failed and may be tried again at.
    RetryAt { at: Duration, obtain: bool },
}

impl ImageState {
    pub(super) const fn info(&self) -> Option<&ImageInfo> {
        match self {
            Self::Ready(info) => Some(info),
            _ => None,
        }
    }
}

impl Driver {
    /// Asks for every image, each once.
    pub(super) fn find_images(&mut self) {
        if self.options.from_labels {
            return;
        }
        let references: Vec<String> = self.selected().map(|(_, node)| node.component.image.clone()).collect();
        for reference in references {
            match self.images.get(&reference).map(|state| state.info().cloned()) {
                None => self.find_again(reference),
                Some(Some(info)) => self.learn_health(&reference, &info),
                Some(None) => {}
            }
        }
    }

    pub(super) fn take_image(&mut self, reference: &str, result: Result<Option<ImageInfo>, EngineError>) {
        let (now, rebuild) = (self.now, self.options.rebuild);
        let Some(state) = self.images.get(reference) else { return };
        let obtaining = matches!(state, ImageState::Obtaining { .. });
        let builds = self.build_of(reference).is_some();
        let next = match result {
            Ok(Some(_)) if rebuild && builds && !obtaining => ImageState::Missing,
            Ok(Some(info)) => {
                let how = if !obtaining {
                    "present"
                } else if builds {
                    "built"
                } else {
                    "pulled"
                };
                let components = self.made_from(reference);
                self.emit(EventKind::ImageReady { image: reference.into(), how: how.into(), components });
                self.learn_health(reference, &info);
                ImageState::Ready(info)
            }
            Ok(None) => ImageState::Missing,
            Err(error) => {
                let retry = self.image_retries.entry(reference.to_owned()).or_default();
                let (again, at) = (retry.again(now, &error), retry.at);
                if !again {
                    self.image_failed(reference, &error);
                    if !self.is_supervised() {
                        return;
                    }
                    let at = now + LONGEST_PAUSE;
                    self.image_retries.remove(reference);
                    self.images.insert(reference.to_owned(), ImageState::RetryAt { at, obtain: obtaining });
                    return;
                }
                self.note_trouble(&error);
                ImageState::RetryAt { at, obtain: obtaining }
            }
        };
        self.images.insert(reference.to_owned(), next);
    }

    fn image_failed(&mut self, reference: &str, error: &EngineError) {
        let hint = match (&error.kind, self.build_of(reference)) {
            (_, Some((service, _))) => format!("the build of service {service} failed: see the lines above"),
            (ErrorKind::ImageMissing | ErrorKind::NotFound, None) => {
                "check the image's name and tag; for a private registry: `docker login`".to_owned()
            }
            _ => "is the registry reachable? an image can also be loaded with `docker load`".to_owned(),
        };
        let user = self.selected().find(|(_, n)| n.component.image == reference).map(|(name, _)| name.clone());
        // Whom it is for comes back when it is there: no reason to give a component up.
        let user = user.filter(|_| !self.is_supervised());
        self.fail_component_or_run(user, format!("image {reference} can't be had: {}", error.message), Some(hint));
    }

    fn learn_health(&mut self, reference: &str, info: &ImageInfo) {
        for node in self.nodes.values_mut().filter(|node| node.component.image == reference) {
            node.image_health.clone_from(&info.health);
        }
    }

    fn build_of(&self, reference: &str) -> Option<(String, crate::cluster::Build)> {
        let of = |c: &Component| c.build.clone().map(|build| (c.service.to_string(), build));
        self.nodes.values().filter(|n| n.component.image == reference).find_map(|node| of(&node.component))
    }

    /// Moves images on: looks again after a failure, pulls or builds what a component needs.
    pub(super) fn advance_images(&mut self) {
        for reference in self.images.keys().cloned().collect::<Vec<_>>() {
            let next = match self.images.get(&reference) {
                Some(ImageState::RetryAt { at, obtain, .. }) if self.now >= *at => Some(*obtain),
                Some(ImageState::RetryAt { at, .. }) => {
                    let at = *at;
                    self.wake_at(at);
                    None
                }
                Some(ImageState::Missing) if self.image_is_needed(&reference) => Some(true),
                Some(ImageState::Obtaining { progress_at, .. }) => {
                    let limit = *progress_at + IMAGE_PATIENCE;
                    self.check_image_patience(&reference, limit);
                    None
                }
                _ => None,
            };
            match next {
                Some(true) => self.obtain(reference),
                Some(false) => self.find_again(reference),
                None => {}
            }
        }
        let all_there = self.images.values().all(|state| matches!(state, ImageState::Ready(_) | ImageState::Missing));
        if all_there && self.images_ready_at.is_none() && self.observed.is_some() {
            self.images_ready_at = Some(self.now);
        } else if !all_there {
            self.images_ready_at = None;
        }
    }

    pub(super) fn find_again(&mut self, reference: String) {
        self.images.insert(reference.clone(), ImageState::Finding);
        self.call(Call::FindImage(reference));
    }

    fn obtain(&mut self, reference: String) {
        let state = ImageState::Obtaining { progress_at: self.now, said_at: None, last: None };
        self.images.insert(reference.clone(), state);
        let (service, build) = self.build_of(&reference).map_or((String::new(), None), |(s, b)| (s, Some(b)));
        self.call(Call::ObtainImage { image: reference, build, service });
    }

    fn check_image_patience(&mut self, reference: &str, limit: Duration) {
        if self.options.timeout.is_some() {
            return;
        }
        if self.now >= limit {
            let what = format!("image {reference}: no progress for {} s", IMAGE_PATIENCE.as_secs());
            let hint = Some("is the registry reachable? `--timeout` sets another limit".into());
            self.fail_run(what, hint, Outcome::DeadlinePassed);
        } else {
            self.wake_at(limit);
        }
    }

    pub(super) fn take_progress(&mut self, image: String, progress: Progress) {
        let now = self.now;
        let Some(ImageState::Obtaining { progress_at, said_at, last }) = self.images.get_mut(&image) else { return };
        if last.as_ref() == Some(&progress) {
            return;
        }
        *progress_at = now;
        *last = Some(progress.clone());
        if said_at.is_some_and(|at| now < at + Duration::from_secs(1)) {
            return;
        }
        *said_at = Some(now);
        let Progress { text, current, total } = progress;
        self.emit(EventKind::ImageProgress { image, text, current, total });
    }

    fn made_from(&self, reference: &str) -> Vec<ComponentName> {
        let selected = self.selected().filter(|(_, node)| node.component.image == reference);
        selected.map(|(name, _)| name.clone()).collect()
    }

    fn image_is_needed(&self, reference: &str) -> bool {
        self.observed.is_some()
            && self.selected().any(|(name, node)| {
                let c = &node.component;
                c.image == reference
                    && !self.is_held(name)
                    && (self.needs_container(node) || (self.options.rebuild && c.build.is_some()))
            })
    }
}
