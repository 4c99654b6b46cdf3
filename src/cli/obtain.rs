//! `convoke pull` and `convoke build`: images, without containers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::time::Instant;

use super::args::{self, Pull};
use super::error::{CliError, FAILED, INTERRUPTED};
use super::session::Session;
use super::source::{self, Described};
use super::watchers::masker;
use crate::cluster::{Build, Cluster, Component, PullPolicy};
use crate::engine::docker::DockerEngine;
use crate::engine::{BuildRequest, Engine, EngineError, Progress, labels};
use crate::mask::Masker;
use crate::names::ServiceName;
use crate::plan::request::image_labels;
use crate::units::human;

/// So many at once.
const AT_ONCE: usize = 4;
/// Progress is said so often at most.
const SAID_EVERY: Duration = Duration::from_secs(1);
/// Lines of a failed build's output that are quoted.
const QUOTED: usize = 20;

pub(super) async fn pull(session: &Session, args: Pull) -> Result<u8, CliError> {
    let (engine, described) = describe(session, &args.source).await?;
    let wanted = chosen(&described, args.include_deps);
    let mut pulled = BTreeMap::new();
    for component in wanted {
        for image in described.cluster.images_behind(component) {
            if described.cluster.build_of(image).is_some() {
                session.printer.progress(format_args!("{image} is built: `convoke build`"));
                continue;
            }
            match why_not(&engine, component, image, args.policy.map(Into::into)).await? {
                Some(why) => session.printer.progress(format_args!("{image} {why}")),
                None => _ = pulled.insert(image.to_owned(), Wanted { service: component.service.clone(), build: None }),
            }
        }
    }
    let code = all(session, &engine, &described.cluster, pulled).await?;
    Ok(if args.ignore_pull_failures && code == FAILED { 0 } else { code })
}

/// Why an image that isn't built, a component's own or one behind it, isn't pulled, if so.
async fn why_not(
    engine: &DockerEngine,
    component: &Component,
    image: &str,
    given: Option<PullPolicy>,
) -> Result<Option<String>, CliError> {
    let is_own = image == component.image;
    let is_there = async || engine.image(image).await;
    Ok(match given.or(component.pull.filter(|_| is_own)).unwrap_or(PullPolicy::Always) {
        PullPolicy::Always | PullPolicy::Build => None,
        PullPolicy::Never => Some("is never pulled (pull_policy)".to_owned()),
        PullPolicy::Missing => is_there().await?.map(|_| "is there already".to_owned()),
        PullPolicy::Every(period) => {
            let tagged_at = is_there().await?.and_then(|info| info.tagged_at);
            let age = tagged_at.map(|at| Timestamp::now().duration_since(at));
            let is_new = age.is_some_and(|age| !age.is_positive() || age.unsigned_abs() < period);
            is_new.then(|| format!("isn't older than {}", human(period)))
        }
    })
}

pub(super) async fn build(session: &Session, args: args::Build) -> Result<u8, CliError> {
    let (engine, described) = describe(session, &args.source).await?;
    let wanted = chosen(&described, args.with_dependencies);
    let cluster = &described.cluster;
    let mut built = BTreeMap::new();
    for image in wanted.into_iter().flat_map(|component| cluster.images_behind(component)) {
        let Some((service, build)) = cluster.build_of(image) else { continue };
        let (service, mut build) = (service.clone(), build.clone());
        build.args.extend(args.args.iter().map(|arg| match arg.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (arg.clone(), None),
        }));
        if !args.ssh.is_empty() {
            build.options.kit.ssh.clone_from(&args.ssh);
        }
        build.options.no_cache |= args.no_cache;
        build.options.pull |= args.pull;
        built.insert(image.to_owned(), Wanted { service, build: Some(build) });
    }
    if built.is_empty() {
        session.printer.progress("nothing of that is built");
    }
    all(session, &engine, &described.cluster, built).await
}

async fn describe(session: &Session, args: &args::Source) -> Result<(DockerEngine, Described), CliError> {
    let connected = session.connect().await;
    let is_local = connected.as_ref().map_or(true, |engine| engine.known_info().is_local);
    let described = source::describe(session, args, &[], is_local)?;
    Ok((connected?, described))
}

/// The components of the services named, or all.
fn chosen(described: &Described, with_dependencies: bool) -> Vec<&Component> {
    let (cluster, services) = (&described.cluster, &described.services);
    if services.is_empty() {
        cluster.components.values().collect()
    } else if with_dependencies {
        let names = cluster.with_dependencies(services);
        cluster.components.values().filter(|component| names.contains(&component.name)).collect()
    } else {
        cluster.of_services(services).collect()
    }
}

/// An image to obtain.
struct Wanted {
    /// The service that it is for.
    service: ServiceName,
    /// How it is built; None if it is pulled.
    build: Option<Build>,
}

/// Obtains each image, what others are built from before them; says how each went.
async fn all(
    session: &Session,
    engine: &DockerEngine,
    cluster: &Cluster,
    mut wanted: BTreeMap<String, Wanted>,
) -> Result<u8, CliError> {
    while !wanted.is_empty() {
        let awaits = |one: &Wanted| one.build.iter().flat_map(|build| &build.bases).any(|it| wanted.contains_key(it));
        let later: BTreeSet<String> =
            wanted.iter().filter(|(_, one)| awaits(one)).map(|(image, _)| image.clone()).collect();
        let (later, now): (BTreeMap<_, _>, _) = wanted.into_iter().partition(|(image, _)| later.contains(image));
        let code = side_by_side(session, engine, cluster, now).await?;
        if code != 0 {
            return Ok(code);
        }
        wanted = later;
    }
    Ok(0)
}

async fn side_by_side(
    session: &Session,
    engine: &DockerEngine,
    cluster: &Cluster,
    wanted: BTreeMap<String, Wanted>,
) -> Result<u8, CliError> {
    let masker = masker(cluster);
    let obtaining = stream::iter(&wanted).map(|(image, wanted)| {
        let obtain = Obtain { session, engine, cluster, image, wanted, masker: &masker, output: VecDeque::new() };
        obtain.run()
    });
    let mut obtaining = obtaining.buffer_unordered(AT_ONCE);
    let mut code = 0;
    loop {
        tokio::select! {
            biased;
            () = session.interrupts.after(1) => return Ok(INTERRUPTED),
            next = obtaining.next() => match next {
                None => return Ok(code),
                Some(true) => {}
                Some(false) => code = FAILED,
            },
        }
    }
}

/// One image on its way.
struct Obtain<'a> {
    session: &'a Session,
    engine: &'a DockerEngine,
    cluster: &'a Cluster,
    image: &'a str,
    wanted: &'a Wanted,
    masker: &'a Masker,
    /// The last lines of a build.
    output: VecDeque<String>,
}

impl Obtain<'_> {
    async fn run(mut self) -> bool {
        let image = self.image;
        let result = self.steps().await;
        let printer = &self.session.printer;
        match result {
            Ok(()) => {
                let done = if self.wanted.build.is_some() { "built" } else { "pulled" };
                printer.progress(format_args!("{image} {done}"));
            }
            Err(error) => {
                for line in &self.output {
                    printer.problem(format_args!("  {}", self.masker.mask(line)));
                }
                printer.problem(format_args!("error: {}", self.masker.mask(&error.to_string())));
                return false;
            }
        }
        true
    }

    async fn steps(&mut self) -> Result<(), EngineError> {
        let Wanted { service, build } = self.wanted;
        let tag = self.image.to_owned();
        let mut steps = match build.clone() {
            Some(build) => {
                let mut labels = image_labels(self.cluster);
                labels.insert(labels::COMPOSE_SERVICE.to_owned(), service.to_string());
                let cluster = self.cluster.name.clone();
                self.engine.build(&BuildRequest { tag, cluster, build, labels, every_platform: true })
            }
            None => self.engine.pull(&tag),
        };
        let mut said: Option<Instant> = None;
        while let Some(step) = steps.next().await {
            let progress = step?;
            if build.is_some() && progress.current.is_none() {
                self.output.extend(progress.text.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned));
                self.output.drain(..self.output.len().saturating_sub(QUOTED));
            }
            if said.is_none_or(|at| at.elapsed() >= SAID_EVERY) {
                said = Some(Instant::now());
                self.say(&progress);
            }
        }
        Ok(())
    }

    fn say(&self, progress: &Progress) {
        let text = self.masker.mask(progress.text.lines().next().unwrap_or_default());
        let counted = match (progress.current, progress.total) {
            (Some(current), Some(total)) if total > 0 => format!(" {} %", current * 100 / total),
            _ => String::new(),
        };
        self.session.printer.progress(format_args!("{}: {text}{counted}", self.image));
    }
}
