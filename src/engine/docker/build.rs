//! Building an image: with Docker's plugin buildx where it is installed, else with the engine's classic builder.

use std::collections::HashMap;

use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, TagImageOptionsBuilder};
use futures::stream::{self, BoxStream, StreamExt};

use super::buildx;
use super::buildx_args::Invocation;
use super::connect::DockerEngine;
use super::context::Context;
use super::failure::{explain, refused};
use super::image::{checked, name_and_tag, with_trouble};
use crate::cluster::Build;
use crate::engine::{BuildRequest, Progress, Result, Verb};

impl DockerEngine {
    pub(super) fn build_stream(&self, request: &BuildRequest) -> BoxStream<'static, Result<Progress>> {
        let engine = self.clone();
        let request = request.clone();
        stream::once(async move { engine.start_build(request).await }).flatten().boxed()
    }

    async fn start_build(self, request: BuildRequest) -> BoxStream<'static, Result<Progress>> {
        let verb = Verb::Build(request.tag.clone());
        let mut names = std::iter::once(&request.tag).chain(&request.build.options.tags);
        let sound = names.try_for_each(|name| checked(name));
        let platforms = match sound.and_then(|()| self.platforms(&request)) {
            Ok(platforms) => platforms,
            Err(text) => return failed(verb, text),
        };
        match &self.inner.buildx {
            Ok(program) => match Invocation::of(&request, &platforms) {
                Ok(invocation) => buildx::run(program, &self.inner.address, verb, invocation),
                Err(text) => failed(verb, text),
            },
            Err(why) => match request.build.beyond_classic().as_slice() {
                [] => self.start_classic(request, verb, platforms).await,
                keys => {
                    let keys = keys.join(", ");
                    failed(verb, format!("the engine's classic builder doesn't understand build.{keys}, and {why}"))
                }
            },
        }
    }

    /// The platforms to build for; none: the engine's own.
    fn platforms(&self, request: &BuildRequest) -> std::result::Result<Vec<String>, String> {
        let all = &request.build.options.platforms;
        if all.len() < 2 {
            return Ok(all.clone());
        }
        let named = all.join(", ");
        if request.every_platform {
            if self.inner.keeps_platforms && self.inner.buildx.is_ok() {
                return Ok(all.clone());
            }
            return Err(format!(
                "this engine keeps an image for one platform only, not for {named}: have it keep images in containerd, \
                 or leave one platform in the file"
            ));
        }
        let own = format!("linux/{}", go_architecture(self.architecture()));
        let wishes = [request.build.runs_on.as_deref(), self.inner.default_platform.as_deref(), Some(own.as_str())];
        let chosen = wishes.into_iter().flatten().find_map(|wish| all.iter().find(|one| is_for(one, wish)));
        chosen.map(|one| vec![one.clone()]).ok_or_else(|| {
            format!("it is to be built for {named}, and the engine runs {own}: say with `platform` which one is meant")
        })
    }

    async fn start_classic(
        self,
        request: BuildRequest,
        verb: Verb,
        platforms: Vec<String>,
    ) -> BoxStream<'static, Result<Progress>> {
        let build = request.build.clone();
        let context = match tokio::task::spawn_blocking(move || Context::open(&build)).await {
            Ok(Ok(context)) => context,
            Ok(Err(text)) => return failed(verb, text),
            Err(error) => return failed(verb, error.to_string()),
        };
        let (credentials, troubles) = self.inner.credentials.for_images(&bases(&context.dockerfile)).await;
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        let options = options(&request, &context.dockerfile_path, platforms.first());
        let pieces = context.stream();
        let body = stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
        // The stream borrows the client, so that both move into one that owns it.
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        tokio::spawn(async move {
            let body = bollard::body_try_stream(body);
            let mut answers = std::pin::pin!(self.docker().build_image(options, Some(credentials), Some(body)));
            loop {
                let answer = tokio::select! {
                    // The caller gave up; dropping the connection ends the build in the engine.
                    () = sender.closed() => return,
                    answer = answers.next() => answer,
                };
                let Some(answer) = answer else { break };
                let is_over = answer.is_err();
                if sender.send(answer).await.is_err() || is_over {
                    return;
                }
            }
            if let Err(error) = self.name(&request).await {
                _ = sender.send(Err(error)).await;
            }
        });
        stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
            .filter_map(move |answer| {
                let progress = match answer {
                    Ok(info) => progress(info).map(Ok),
                    Err(error) => Some(Err(with_trouble(explain(verb.clone(), error), trouble.as_deref()))),
                };
                std::future::ready(progress)
            })
            .boxed()
    }

    /// Gives what was built its other names.
    async fn name(&self, request: &BuildRequest) -> std::result::Result<(), bollard::errors::Error> {
        for other in &request.build.options.tags {
            let (name, tag) = name_and_tag(other);
            let options = TagImageOptionsBuilder::default().repo(name).tag(tag).build();
            self.docker().tag_image(&request.tag, Some(options)).await?;
        }
        Ok(())
    }
}

/// The word of images for an engine's processor.
fn go_architecture(said: &str) -> &str {
    match said {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
}

/// Whether a platform is the one that is wished for; a variant may be left open.
fn is_for(platform: &str, wish: &str) -> bool {
    platform.strip_prefix(wish).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What the builder is told.
fn options(request: &BuildRequest, dockerfile: &str, platform: Option<&String>) -> BuildImageOptions {
    let own = &request.build.options;
    // Ours and Compose's labels win over the file's.
    let mut labels: HashMap<String, String> = own.labels.clone().into_iter().collect();
    labels.extend(request.labels.clone());
    let mut builder = BuildImageOptionsBuilder::default()
        .dockerfile(dockerfile)
        .t(&request.tag)
        .rm(true)
        .forcerm(true)
        .buildargs(&arguments(&request.build))
        .labels(&labels)
        .target(request.build.target.as_deref().unwrap_or_default())
        .nocache(own.no_cache);
    if !own.cache_from.is_empty() {
        builder = builder.cachefrom(&own.cache_from);
    }
    if let Some(network) = &own.network {
        builder = builder.networkmode(network);
    }
    if own.pull {
        builder = builder.pull("1");
    }
    if let Some(size) = own.shm_size.and_then(|size| i32::try_from(size).ok()) {
        builder = builder.shmsize(size);
    }
    if let Some(platform) = platform {
        builder = builder.platform(platform);
    }
    builder.build()
}

fn failed(verb: Verb, text: String) -> BoxStream<'static, Result<Progress>> {
    stream::iter([Err(refused(verb, text))]).boxed()
}

/// Arguments without a value take it from the environment; those that aren't there either are left to the Dockerfile.
fn arguments(build: &Build) -> HashMap<String, String> {
    let value = |(name, value): (&String, &Option<String>)| {
        Some((name.clone(), value.clone().or_else(|| std::env::var(name).ok())?))
    };
    build.args.iter().filter_map(value).collect()
}

/// A line of the build's output, or the progress of a base image's pull.
fn progress(info: BuildInfo) -> Option<Progress> {
    let counted = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let text = info.stream.or(info.status)?.trim_end().to_owned();
    let detail = info.progress_detail.unwrap_or_default();
    (!text.is_empty()).then(|| Progress { text, current: counted(detail.current), total: counted(detail.total) })
}

/// The images that a Dockerfile builds on: for these the builder may need credentials.
fn bases(dockerfile: &str) -> Vec<String> {
    let from = dockerfile.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| word.eq_ignore_ascii_case("from"))?;
        words.find(|word| !word.starts_with("--"))
    });
    from.filter(|base| *base != "scratch" && !base.contains('$')).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_images() {
        let text =
            "# FROM nothing\nFROM --platform=linux/amd64 ghcr.io/a/b:1 AS one\nfrom scratch\nFROM ${X}\n RUN x\nFROM c";
        assert_eq!(bases(text), ["ghcr.io/a/b:1", "c"]);
    }

    #[test]
    fn platforms_and_variants() {
        assert!(is_for("linux/arm64/v8", "linux/arm64") && is_for("linux/amd64", "linux/amd64"));
        assert!(!is_for("linux/arm64", "linux/arm") && !is_for("linux/arm64", "linux/arm64/v8"));
        assert_eq!((go_architecture("aarch64"), go_architecture("riscv64")), ("arm64", "riscv64"));
    }

    #[test]
    fn output_lines() {
        let line = |text: &str| progress(BuildInfo { stream: Some(text.into()), ..Default::default() });
        assert_eq!(line("Step 1/2 : FROM x\n").unwrap().text, "Step 1/2 : FROM x");
        assert_eq!(line("\n"), None);
    }

    #[test]
    fn arguments_without_a_value_come_from_the_environment() {
        let args = [("A", Some("1")), ("PATH", None), ("SURELY_NOT_SET_ANYWHERE", None)];
        let build = Build {
            args: args.map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).into(),
            ..Build::new("/")
        };
        let found = arguments(&build);
        assert_eq!((found.len(), found["A"].as_str(), &found["PATH"]), (2, "1", &std::env::var("PATH").unwrap()));
    }
}
