//! Images: looked for at once, pulled or built when a component needs them.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::blame::hint_for;
use super::calls::LOG_LINES;
use super::driver::{Driver, IMAGE_PATIENCE};
use super::input::Call;
use super::node::Node;
use super::recover::LONGEST_PAUSE;
use crate::cluster::{Build, Component, PullPolicy};
use crate::engine::{EngineError, ErrorKind, ImageInfo, Progress, Verb};
use crate::event::{EventKind, Outcome};
use crate::names::ComponentName;

/// How far an image is.
#[derive(Debug, Clone)]
pub(super) enum ImageState {
    /// Being looked for.
    Finding,
    /// Not there; nobody needed it so far.
    Missing,
    /// There, and to be had anew all the same.
    Stale,
    /// Being pulled or built; last progress at, and the last lines of a build's output.
    Obtaining { progress_at: Duration, said_at: Option<Duration>, last: Option<Progress>, output: VecDeque<String> },
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
        let components = self.selected().map(|(_, node)| &node.component);
        let references: BTreeSet<&str> = components.flat_map(|one| self.cluster.images_behind(one)).collect();
        for reference in references.into_iter().map(ToOwned::to_owned).collect::<Vec<_>>() {
            match self.images.get(&reference).map(|state| state.info().cloned()) {
                None => self.find_again(reference),
                Some(Some(info)) => self.learn_health(&reference, &info),
                Some(None) => {}
            }
        }
    }

    pub(super) fn take_image(&mut self, reference: &str, result: Result<Option<ImageInfo>, EngineError>) {
        let (now, rebuild) = (self.now, self.options.rebuild);
        let Some(state) = self.images.get_mut(reference) else { return };
        let output = match state {
            ImageState::Obtaining { output, .. } => Some(std::mem::take(output)),
            _ => None,
        };
        let obtaining = output.is_some();
        let builds = self.build_of(reference).is_some();
        let next = match result {
            Ok(Some(_)) if rebuild && builds && !obtaining => ImageState::Missing,
            Ok(Some(info)) if !obtaining && self.is_wanted_anew(reference, &info) => ImageState::Stale,
            Ok(Some(info)) => {
                let how = if !obtaining {
                    "present"
                } else if builds {
                    "built"
                } else {
                    "pulled"
                };
                let components = self.users(reference).map(|(name, _)| name.clone()).collect();
                self.emit(EventKind::ImageReady { image: reference.into(), how: how.into(), components });
                self.learn_health(reference, &info);
                ImageState::Ready(info)
            }
            Ok(None) => ImageState::Missing,
            Err(error) => {
                let retry = self.image_retries.entry(reference.to_owned()).or_default();
                let (again, at) = (retry.again(now, &error), retry.at);
                if !again {
                    self.image_failed(reference, &error, output.unwrap_or_default().into());
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

    fn image_failed(&mut self, reference: &str, error: &EngineError, output: Vec<String>) {
        let (what, hint) = match (&error.kind, self.build_of(reference)) {
            (_, Some((service, build))) => {
                let what = format!("image {reference} can't be built: {}", error.message);
                let again = if self.options.rebuild { "convoke up --build" } else { "convoke up" };
                let from = build.place();
                (what, format!("mend what service {service} is built from ({from}), then `{again}`"))
            }
            (ErrorKind::ImageMissing, None) if self.is_never_pulled(reference) => {
                let hint = format!("docker load, docker pull {reference}, or another pull_policy");
                (format!("image {reference} can't be had: {}", error.message), hint)
            }
            (ErrorKind::ImageMissing | ErrorKind::NotFound, None) => {
                let hint = "check the image's name and tag; for a private registry: `docker login`";
                (format!("image {reference} can't be had: {}", error.message), hint.to_owned())
            }
            _ => {
                let hint = "is the registry reachable? an image can also be loaded with `docker load`";
                (format!("image {reference} can't be had: {}", error.message), hint.to_owned())
            }
        };
        // What the engine's machine lacks is to be had there, wherever the image comes from.
        let lacks = matches!(error.kind, ErrorKind::DiskFull | ErrorKind::Exhausted(_));
        let hint = hint_for(&error.kind).filter(|_| lacks).map_or(hint, ToOwned::to_owned);
        let user = self.users(reference).next().map(|(name, _)| name.clone());
        // Whom it is for comes back when it is there: no reason to give a component up.
        let user = user.filter(|_| !self.is_supervised());
        match user {
            Some(name) => self.fail_unmade(&name, what, hint, output),
            None => self.fail_run(what, Some(hint), Outcome::Failed),
        }
    }

    fn learn_health(&mut self, reference: &str, info: &ImageInfo) {
        for node in self.nodes.values_mut().filter(|node| node.component.image == reference) {
            node.image_health.clone_from(&info.health);
        }
    }

    fn build_of(&self, reference: &str) -> Option<(String, Build)> {
        self.cluster.build_of(reference).map(|(service, build)| (service.to_string(), build.clone()))
    }

    /// Components that are made from an image, mount it, or whose own is built from it.
    fn users<'a>(&'a self, reference: &'a str) -> impl Iterator<Item = (&'a ComponentName, &'a Node)> {
        self.selected().filter(move |(_, node)| self.cluster.is_behind(reference, &node.component))
    }

    /// Whether the engine has all that a component is made from.
    pub(super) fn has_images(&self, component: &Component) -> bool {
        component.images().all(|image| self.is_there(image))
    }

    pub(super) fn is_there(&self, image: &str) -> bool {
        self.images.get(image).is_some_and(|state| state.info().is_some())
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
                Some(ImageState::Missing) if self.image_is_needed(&reference) => {
                    self.has_bases(&reference).then_some(true)
                }
                Some(ImageState::Stale) if self.observed.is_some() => self.has_bases(&reference).then_some(true),
                Some(ImageState::Obtaining { progress_at, .. }) => {
                    let limit = *progress_at + IMAGE_PATIENCE;
                    self.check_image_patience(&reference, limit);
                    None
                }
                _ => None,
            };
            match next {
                Some(true) if self.is_never_pulled(&reference) => self.refuse_to_pull(reference),
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
        let state = ImageState::Obtaining { progress_at: self.now, said_at: None, last: None, output: VecDeque::new() };
        self.images.insert(reference.clone(), state);
        let (service, build) = self.build_of(&reference).map_or((String::new(), None), |(s, b)| (s, Some(Box::new(b))));
        self.call(Call::ObtainImage { image: reference, build, service });
    }

    /// What the components say that are made from it, or `--pull`.
    fn policies<'a>(&'a self, reference: &'a str) -> impl Iterator<Item = PullPolicy> + 'a {
        self.users(reference).map(move |(_, node)| {
            let own = node.component.pull.filter(|_| node.component.image == reference);
            self.options.pull.or(own).unwrap_or(PullPolicy::Missing)
        })
    }

    /// Whether one that is there is pulled or built once more. What is built isn't pulled.
    fn is_wanted_anew(&self, reference: &str, info: &ImageInfo) -> bool {
        let is_built = self.build_of(reference).is_some();
        let age = self.options.began.zip(info.tagged_at).map(|(now, at)| now.duration_since(at));
        let is_older = |than: Duration| age.is_none_or(|age| age.unsigned_abs() >= than && age.is_positive());
        self.policies(reference).any(|policy| match policy {
            PullPolicy::Build => is_built,
            PullPolicy::Always => !is_built,
            PullPolicy::Every(period) => !is_built && is_older(period),
            PullPolicy::Missing | PullPolicy::Never => false,
        })
    }

    fn is_never_pulled(&self, reference: &str) -> bool {
        self.build_of(reference).is_none() && self.policies(reference).all(|policy| policy == PullPolicy::Never)
    }

    fn refuse_to_pull(&mut self, reference: String) {
        let message = "the engine doesn't have it, and it is never pulled (pull_policy)".to_owned();
        let error = EngineError { verb: Verb::Pull(reference.clone()), kind: ErrorKind::ImageMissing, message };
        self.images.insert(reference.clone(), ImageState::RetryAt { at: self.now + LONGEST_PAUSE, obtain: false });
        self.image_failed(&reference, &error, Vec::new());
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
        let is_built = self.build_of(&image).is_some();
        let Some(ImageState::Obtaining { progress_at, said_at, last, output }) = self.images.get_mut(&image) else {
            return;
        };
        if is_built {
            keep_last(output, &progress);
        }
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

    fn image_is_needed(&self, reference: &str) -> bool {
        let by_component = |(name, node): (&ComponentName, &Node)| {
            let c = &node.component;
            let rebuilt = self.options.rebuild && c.build.is_some() && c.image == reference;
            c.images().any(|image| image == reference) && !self.is_held(name) && (self.needs_container(node) || rebuilt)
        };
        self.observed.is_some() && (self.selected().any(by_component) || self.is_base_of_needed(reference))
    }

    /// Whether an image is built from it that is about to be built.
    fn is_base_of_needed(&self, reference: &str) -> bool {
        let is_base = |image: &str| self.cluster.build_of(image).is_some_and(|(_, b)| b.bases.contains(reference));
        let is_due = |(image, state): (&String, &ImageState)| match state {
            ImageState::Missing => is_base(image) && self.image_is_needed(image),
            ImageState::Stale => is_base(image),
            _ => false,
        };
        self.cluster.bases.contains_key(reference) && self.images.iter().any(is_due)
    }

    /// Whether what it is built from is there.
    fn has_bases(&self, reference: &str) -> bool {
        self.cluster.build_of(reference).is_none_or(|(_, build)| build.bases.iter().all(|base| self.is_there(base)))
    }
}

/// Keeps the lines that a failure quotes. What is counted is a base image's download, no line of the build's own.
fn keep_last(output: &mut VecDeque<String>, progress: &Progress) {
    if progress.current.is_some() {
        return;
    }
    output.extend(progress.text.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned));
    output.drain(..output.len().saturating_sub(LOG_LINES));
}
