//! What images are built from.

use super::*;
use crate::cluster::FileContent;

const FILE: &str = "
services:
  a:
    build:
      context: .
      dockerfile_inline: FROM scratch
      ssh: [default, k=keys/id]
      additional_contexts: { src: ../src, image: docker-image://x }
      secrets: [token, { source: file, target: other }, { source: inline, mode: 0400 }]
secrets:
  token: { environment: TOKEN }
  file: { file: ./pw }
  inline: { content: hunter2 }
";

fn in_folder(text: &str, options: &ResolveOptions) -> Result<(Cluster, Diagnostics), String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pw"), "of the file\n").unwrap();
    let shown = |text: String| text.replace(&folder.path().display().to_string(), "/demo");
    resolve(&load(folder.path(), text), options).map_err(|problems| shown(problems.to_string()))
}

#[test]
fn secrets_and_paths() {
    let (cluster, warnings) = in_folder(FILE, &local()).unwrap();
    let build = cluster.components["a"].build.clone().unwrap();
    let ids: Vec<&str> = build.secrets.iter().map(|secret| secret.id.as_str()).collect();
    assert_eq!(ids, ["token", "other", "inline"]);
    assert!(matches!(&build.secrets[0].content, FileContent::Inline { bytes } if bytes == b"s3cr3t"));
    assert!(matches!(&build.secrets[1].content, FileContent::Path { path } if path.ends_with("pw")));
    assert_eq!(cluster.components["a"].secrets, ["s3cr3t", "of the file", "hunter2"], "to be masked");
    assert!(warnings.to_string().contains("uid, gid and mode of secret \"inline\" are ignored in a build"));
    let kit = &build.options.kit;
    assert!(kit.ssh[1].starts_with("k=/") && kit.ssh[1].ends_with("/keys/id"), "{:?}", kit.ssh);
    assert!(kit.additional_contexts["src"].starts_with('/') && kit.additional_contexts["src"].ends_with("/src"));
    assert_eq!(kit.additional_contexts["image"], "docker-image://x");
    let shown = serde_json::to_string(&build).unwrap();
    assert!(!shown.contains("hunter2") && !shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn a_secret_that_is_not_there() {
    let text = FILE.replace("./pw", "./gone").replace("[token,", "[nobody,");
    let problems = in_folder(&text, &local()).unwrap_err();
    assert!(problems.contains("the file /demo/gone of secret \"file\" does not exist"), "{problems}");
    assert!(problems.contains("secret \"nobody\" is not defined"), "{problems}");
}

/// At its place; only a warning where the image may be there already.
#[test]
fn without_buildx_what_the_classic_builder_lacks_is_refused() {
    let why = "Docker's plugin buildx isn't installed";
    let options = ResolveOptions { no_buildx: Some(why.to_owned()), ..local() };
    let problems = in_folder(FILE, &options).unwrap_err();
    let first = "error: build.ssh isn't understood by the engine's classic builder, and Docker's plugin buildx isn't \
                 installed\n --> compose.yaml:7:7\n";
    assert!(problems.contains(first), "{problems}");
    assert_eq!(
        problems.matches("= help: install Docker's plugin buildx (Debian: docker-buildx").count(),
        3,
        "{problems}"
    );
    let off = ResolveOptions { no_buildx: Some("DOCKER_BUILDKIT=0 asks for that one".to_owned()), ..local() };
    assert!(in_folder(FILE, &off).unwrap_err().contains("= help: unset DOCKER_BUILDKIT, or remove the key"));
    let (_, warnings) = in_folder(&FILE.replace("    build:", "    image: app\n    build:"), &options).unwrap();
    assert_eq!(warnings.to_string().matches("warning: build.").count(), 3, "{warnings}");
    let plain = "services: { a: { build: { context: ., dockerfile_inline: FROM a, tags: [b], cache_from: [c] } } }";
    in_folder(plain, &options).unwrap();
}

#[test]
fn a_repository_as_the_context() {
    let text = "services: { a: { build: 'https://example.org/x.git#v1' } }";
    let (cluster, warnings) = in_folder(text, &local()).unwrap();
    let build = cluster.components["a"].build.clone().unwrap();
    assert_eq!((build.place().as_str(), warnings.is_empty()), ("https://example.org/x.git#v1", true));
    let options = ResolveOptions { no_buildx: Some("Docker's plugin buildx isn't installed".to_owned()), ..local() };
    let problems = in_folder(text, &options).unwrap_err();
    let message = "an address as build.context isn't understood by the engine's classic builder, and Docker's plugin";
    assert!(problems.contains(message), "{problems}");
}

#[test]
fn platforms() {
    let text = |platform: &str, platforms: &str| {
        format!("services: {{ a: {{ {platform} build: {{ context: ., dockerfile_inline: FROM a, {platforms} }} }} }}")
    };
    let of = |text: &str| in_folder(text, &local()).map(|(cluster, _)| cluster.components["a"].build.clone().unwrap());
    let one = of(&text("platform: linux/arm64,", "")).unwrap();
    assert_eq!((one.options.platforms, one.runs_on.as_deref()), (vec!["linux/arm64".to_owned()], Some("linux/arm64")));
    let problem = of(&text("platform: linux/s390x,", "platforms: [linux/amd64, linux/arm64]")).unwrap_err();
    assert!(problem.contains("the image isn't built for linux/s390x"), "{problem}");
    assert!(problem.contains("it is built for linux/amd64, linux/arm64; add linux/s390x"), "{problem}");
}

const TOWER: &str = "
services:
  app: { build: { context: ., dockerfile_inline: FROM base, additional_contexts: { base: 'service:middle' } } }
  middle:
    image: shop/middle:1
    scale: 0
    build: { context: ., dockerfile_inline: FROM base, additional_contexts: ['base=service:lowest', 'tool=service:tool'] }
  lowest:
    profiles: [never]
    build: { context: ., dockerfile_inline: FROM scratch, secrets: [token] }
  tool: { image: 'tool:2' }
secrets: { token: { environment: TOKEN } }
";

/// Whether they run or not.
#[test]
fn images_of_other_services_are_built_before() {
    let (cluster, _) = in_folder(TOWER, &local()).unwrap();
    let app = &cluster.components["app"];
    let build = app.build.as_ref().unwrap();
    assert_eq!(build.options.kit.additional_contexts["base"], "docker-image://shop/middle:1");
    assert_eq!(build.bases, ["shop/middle:1".to_owned()].into());
    let lowest = format!("{}-lowest", cluster.name);
    let mut bases: Vec<(&str, bool)> =
        cluster.bases.iter().map(|(image, base)| (image.as_str(), base.build.is_some())).collect();
    bases.sort_unstable();
    let mut expected = [(lowest.as_str(), true), ("shop/middle:1", true), ("tool:2", false)];
    expected.sort_unstable();
    assert_eq!(bases, expected);
    assert_eq!(cluster.images_behind(app).len(), 4);
    assert!(cluster.secrets().any(|secret| secret == "s3cr3t"), "to be masked");
}

#[test]
fn images_that_cannot_be_built_from_one_another() {
    let unknown = in_folder(&TOWER.replace("service:lowest", "service:lowset"), &local()).unwrap_err();
    let message = "the context \"base\" of \"middle\" is \"lowset\", which is no service here";
    assert!(unknown.contains(message) && unknown.contains("did you mean \"lowest\"?"), "{unknown}");
    let circle = in_folder(&TOWER.replace("service:lowest", "service:app"), &local()).unwrap_err();
    assert!(circle.contains("error: images are built from one another: ") && circle.contains("-app"), "{circle}");
    assert!(circle.contains(":7:56"), "{circle}");
    // One name for two images is a circle as well.
    let one_name = TOWER.replace("app: { build:", "app: { image: 'shop/middle:1', build:");
    let circle = in_folder(&one_name, &local()).unwrap_err();
    assert!(circle.contains("one another: shop/middle:1 -> shop/middle:1"), "{circle}");
}
