//! What a service's image is built from.

use super::build::Context;
use super::{bases, files};
use crate::cluster::{Build, BuildSecret};
use crate::compose::{self, Diagnostic, Diagnostics, FileRef, Place, Service, is_remote};

/// How the service's image is built, if the file says so. Contents of secrets are added to `secrets`.
pub(super) fn resolve(
    context: &Context<'_>,
    service: &Service,
    secrets: &mut Vec<String>,
    problems: &mut Diagnostics,
) -> Option<Build> {
    let written = service.build.as_ref()?;
    check_sources(context, service, written, problems);
    check_platform(service, written, problems);
    let mut build = Build {
        remote: is_remote(&written.context.value).then(|| written.context.value.clone()),
        dockerfile_inline: written.dockerfile_inline.as_ref().map(|text| text.value.clone()),
        args: written.args.clone().into_iter().collect(),
        target: written.target.clone(),
        secrets: written.secrets.iter().filter_map(|one| secret(context, service, one, secrets, problems)).collect(),
        runs_on: service.platform.clone(),
        bases: bases::named(context, written).map(|(_, image)| image).collect(),
        options: options(context, service, written),
        ..Build::new(context.paths.absolute(&written.context.value))
    };
    if let Some(file) = &written.dockerfile {
        build.dockerfile.clone_from(&file.value);
    }
    check_builder(context, service, &build, problems);
    Some(build)
}

/// The options with absolute paths, and the container's platform where the build says none.
fn options(context: &Context<'_>, service: &Service, written: &compose::Build) -> compose::BuildOptions {
    let mut options = written.options.clone();
    for other in options.kit.additional_contexts.values_mut() {
        *other = match bases::image_of(context, other) {
            Some(image) => format!("docker-image://{image}"),
            None => context.paths.context(other),
        };
    }
    for key in &mut options.kit.ssh {
        if let Some((id, path)) = key.split_once('=') {
            *key = format!("{id}={}", context.paths.absolute(path).display());
        }
    }
    if options.platforms.is_empty() {
        options.platforms.extend(service.platform.clone());
    }
    options
}

fn secret(
    context: &Context<'_>,
    service: &Service,
    wanted: &FileRef,
    secrets: &mut Vec<String>,
    problems: &mut Diagnostics,
) -> Option<BuildSecret> {
    if wanted.uid.is_some() || wanted.gid.is_some() || wanted.mode.is_some() {
        let message = format!("uid, gid and mode of secret \"{}\" are ignored in a build", wanted.source.value);
        problems.push(Diagnostic::warning(&wanted.source.at, message).hint("the Dockerfile's --mount says them"));
    }
    let mut own = Diagnostics::new();
    let found = files::secret(context, wanted, &mut own);
    for problem in own.iter() {
        problems.push(if_needed(context, service, problem.clone()));
    }
    let (content, masked) = found?;
    secrets.extend(masked);
    let id = wanted.target.as_ref().unwrap_or(&wanted.source).value.clone();
    Some(BuildSecret { id, content })
}

/// What an image is built from must be there. With `image:` as well it may be pulled or there already, as where a file is
/// used without the sources: then it is a warning. Who only wants to read the project needs no sources.
fn if_needed(context: &Context<'_>, service: &Service, mut problem: Diagnostic) -> Diagnostic {
    if service.image.is_some() || context.options.describes_only {
        problem.severity = compose::Severity::Warning;
    }
    problem
}

fn check_sources(context: &Context<'_>, service: &Service, build: &compose::Build, problems: &mut Diagnostics) {
    if is_remote(&build.context.value) {
        // The builder's to look for.
        return;
    }
    let folder = context.paths.absolute(&build.context.value);
    let dockerfile = build.dockerfile.as_ref().map_or("Dockerfile", |file| &file.value);
    let (at, message) = if !folder.is_dir() {
        let is = if folder.exists() { "isn't a directory" } else { "doesn't exist" };
        (&build.context.at, format!("the build context {} {is}", folder.display()))
    } else if build.dockerfile_inline.is_none() && !folder.join(dockerfile).is_file() {
        let at = build.dockerfile.as_ref().map_or(&build.context.at, |file| &file.at);
        (at, format!("there is no {dockerfile} in the build context {}", folder.display()))
    } else {
        return;
    };
    let hint = match &service.image {
        Some(image) => format!("the image {} has to be there already", image.value),
        None => "`context` is the directory, `dockerfile` is relative to it".to_owned(),
    };
    problems.push(if_needed(context, service, Diagnostic::error(at, message).hint(hint)));
}

/// The container's platform must be one that the image is for.
fn check_platform(service: &Service, build: &compose::Build, problems: &mut Diagnostics) {
    let platforms = &build.options.platforms;
    if let Some(platform) = service.platform.as_ref().filter(|one| !platforms.is_empty() && !platforms.contains(one)) {
        let message = format!("the image isn't built for {platform}, the platform of its service");
        let hint = format!("it is built for {}; add {platform} to them", platforms.join(", "));
        problems.push(Diagnostic::error(place(build, "platforms"), message).hint(hint));
    }
}

/// What the builder at hand doesn't understand is refused by name.
fn check_builder(context: &Context<'_>, service: &Service, build: &Build, problems: &mut Diagnostics) {
    let (Some(why), Some(written)) = (&context.options.no_buildx, &service.build) else { return };
    let hint =
        if why.starts_with("DOCKER_BUILDKIT") { "unset DOCKER_BUILDKIT, or remove the key" } else { BUILDX_HINT };
    for key in build.beyond_classic() {
        let what = if key == "context" { "an address as build.context".to_owned() } else { format!("build.{key}") };
        let message = format!("{what} isn't understood by the engine's classic builder, and {why}");
        let problem = Diagnostic::error(place(written, key), message).hint(hint);
        problems.push(if_needed(context, service, problem));
    }
}

const BUILDX_HINT: &str = "install Docker's plugin buildx (Debian: docker-buildx, Docker's own: docker-buildx-plugin), \
                           or remove the key";

pub(super) fn place<'a>(build: &'a compose::Build, key: &str) -> &'a Place {
    build.places.get(key).unwrap_or(&build.at)
}
