//! Building an image with the engine's classic builder.

use std::collections::HashMap;

use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};
use futures::stream::{self, BoxStream, StreamExt};

use super::connect::DockerEngine;
use super::context::Context;
use super::failure::{explain, refused};
use super::image::{checked, with_trouble};
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
        let build = request.build.clone();
        let opened = tokio::task::spawn_blocking(move || Context::open(&build)).await;
        let context = match (checked(&request.tag), opened) {
            (Ok(()), Ok(Ok(context))) => context,
            (Err(text), _) | (_, Ok(Err(text))) => return failed(verb, text),
            (_, Err(error)) => return failed(verb, error.to_string()),
        };
        let (credentials, troubles) = self.inner.credentials.for_images(&bases(&context.dockerfile)).await;
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        let options = options(&request, &context.dockerfile_path);
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
                let Some(answer) = answer else { return };
                if sender.send(answer).await.is_err() {
                    return;
                }
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
}

/// What the builder is told.
fn options(request: &BuildRequest, dockerfile: &str) -> BuildImageOptions {
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
    if let Some(platform) = &own.platform {
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
    fn output_lines() {
        let line = |text: &str| progress(BuildInfo { stream: Some(text.into()), ..Default::default() });
        assert_eq!(line("Step 1/2 : FROM x\n").unwrap().text, "Step 1/2 : FROM x");
        assert_eq!(line("\n"), None);
    }

    #[test]
    fn arguments_without_a_value_come_from_the_environment() {
        let args = [("A", Some("1")), ("PATH", None), ("SURELY_NOT_SET_ANYWHERE", None)];
        let build = Build {
            context: "/".into(),
            dockerfile: "Dockerfile".into(),
            dockerfile_inline: None,
            args: args.map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).into(),
            target: None,
            options: crate::cluster::BuildOptions::default(),
        };
        let found = arguments(&build);
        assert_eq!((found.len(), found["A"].as_str(), &found["PATH"]), (2, "1", &std::env::var("PATH").unwrap()));
    }
}
