//! A build in the words of Docker's plugin buildx.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;

use crate::cluster::{Build, FileContent};
use crate::engine::BuildRequest;

/// The kernel takes no longer value in the environment.
const LONGEST_VALUE: usize = 128 * 1024 - 64;

/// How the plugin is run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) arguments: Vec<OsString>,
    /// Values of secrets: in the environment nobody else sees them.
    pub(super) environment: Vec<(String, String)>,
    /// The Dockerfile's text, where it isn't a file.
    pub(super) input: String,
}

impl Invocation {
    /// The image is for these platforms; none: the engine's own.
    ///
    /// # Errors
    /// When a secret can't be passed on.
    pub(super) fn of(request: &BuildRequest, platforms: &[String]) -> Result<Self, String> {
        let BuildRequest { tag, build, labels, .. } = request;
        let mut words = Words::default();
        for fixed in ["build", "--progress=plain", "--load"] {
            words.0.push(fixed.into());
        }
        words.all("--tag", std::iter::once(tag).chain(&build.options.tags));
        // Ours and Compose's labels win over the file's.
        let mut all = build.options.labels.clone();
        all.extend(labels.clone());
        words.all("--label", all.iter().map(|(key, value)| format!("{key}={value}")));
        words.all(
            "--build-arg",
            build.args.iter().map(|(name, value)| match value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            }),
        );
        words.all("--target", &build.target);
        words.all("--platform", (!platforms.is_empty()).then(|| platforms.join(",")));
        words.usual(build);
        words.kit(build);
        let environment = words.secrets(build)?;
        words.all("--file", build.dockerfile_inline.as_ref().map(|_| "-"));
        if build.dockerfile_inline.is_none() {
            // In a repository it is looked for there.
            let path = if build.remote.is_some() {
                PathBuf::from(&build.dockerfile)
            } else {
                build.context.join(&build.dockerfile)
            };
            words.0.push("--file".into());
            words.0.push(path.into());
        }
        words.0.push(build.remote.clone().map_or_else(|| build.context.clone().into(), Into::into));
        Ok(Self { arguments: words.0, environment, input: build.dockerfile_inline.clone().unwrap_or_default() })
    }
}

#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    /// One option for each value. In one word: a value may begin with a dash.
    fn all(&mut self, option: &str, values: impl IntoIterator<Item = impl Display>) {
        self.0.extend(values.into_iter().map(|value| format!("{option}={value}").into()));
    }

    fn flag(&mut self, option: &str, is_set: bool) {
        if is_set {
            self.0.push(option.into());
        }
    }

    fn usual(&mut self, build: &Build) {
        let options = &build.options;
        self.flag("--no-cache", options.no_cache);
        self.flag("--pull", options.pull);
        self.all("--network", &options.network);
        self.all("--shm-size", options.shm_size);
        self.all("--cache-from", &options.cache_from);
    }

    fn kit(&mut self, build: &Build) {
        let kit = &build.options.kit;
        self.all("--cache-to", &kit.cache_to);
        self.all("--no-cache-filter", &kit.no_cache_filter);
        self.all("--build-context", kit.additional_contexts.iter().map(|(name, context)| format!("{name}={context}")));
        self.all("--add-host", kit.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")));
        self.all("--ulimit", kit.ulimits.iter().map(|(name, (soft, hard))| format!("{name}={soft}:{hard}")));
        self.all("--allow", &kit.entitlements);
        let is_privileged = kit.privileged && !kit.entitlements.iter().any(|one| one == "security.insecure");
        self.all("--allow", is_privileged.then_some("security.insecure"));
        self.all("--provenance", &kit.provenance);
        self.all("--sbom", &kit.sbom);
        self.all("--ssh", &kit.ssh);
    }

    fn secrets(&mut self, build: &Build) -> Result<Vec<(String, String)>, String> {
        let mut environment = Vec::new();
        for (number, secret) in build.secrets.iter().enumerate() {
            let id = field("id", &secret.id);
            let from = match &secret.content {
                FileContent::Path { path } => {
                    let path = path.to_str().ok_or_else(|| format!("the path {} isn't valid UTF-8", path.display()))?;
                    field("src", path)
                }
                FileContent::Inline { bytes } => {
                    let value = String::from_utf8(bytes.clone()).ok().filter(|value| is_passable(value));
                    let value = value.ok_or_else(|| {
                        format!(
                            "the secret {} can't be passed on: it is longer than 128 KiB, or binary; use file:",
                            secret.id
                        )
                    })?;
                    let variable = format!("CONVOKE_BUILD_SECRET_{number}");
                    let from = field("env", &variable);
                    environment.push((variable, value));
                    from
                }
            };
            self.all("--secret", [format!("{id},{from}")]);
        }
        Ok(environment)
    }
}

fn is_passable(value: &str) -> bool {
    value.len() <= LONGEST_VALUE && !value.contains('\0')
}

/// `key=value` as a field of a line of comma-separated ones.
fn field(key: &str, value: &str) -> String {
    if value.contains([',', '"', '\n']) {
        return format!("\"{key}={}\"", value.replace('"', "\"\""));
    }
    format!("{key}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{BuildOptions, BuildSecret, KitOptions};

    fn texts<const N: usize>(all: [&str; N]) -> Vec<String> {
        all.map(ToOwned::to_owned).into()
    }

    fn request(build: Build) -> BuildRequest {
        let labels = [("com.docker.compose.service".to_owned(), "web".to_owned())].into();
        let cluster = crate::names::ClusterName::new("shop").unwrap();
        BuildRequest { tag: "shop-web".into(), cluster, build, labels, every_platform: false }
    }

    fn build() -> Build {
        Build::new("/work/web")
    }

    fn words(request: &BuildRequest, platforms: &[String]) -> Vec<String> {
        let all = Invocation::of(request, platforms).unwrap().arguments;
        all.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_least() {
        let fixed = "build --progress=plain --load --tag=shop-web --label=com.docker.compose.service=web";
        assert_eq!(words(&request(build()), &[]).join(" "), format!("{fixed} --file /work/web/Dockerfile /work/web"));
        let inline = Build { dockerfile_inline: Some("FROM a\n".into()), ..build() };
        let invocation = Invocation::of(&request(inline), &[]).unwrap();
        assert_eq!(invocation.input, "FROM a\n");
        assert_eq!(invocation.arguments[5..], ["--file=-", "/work/web"].map(OsString::from));
    }

    #[test]
    fn a_repository_is_the_builder_s_to_get() {
        let remote = Some("https://example.org/x.git#main:sub".to_owned());
        let all = words(&request(Build { remote, ..build() }), &[]).join(" ");
        assert!(all.ends_with(" --file Dockerfile https://example.org/x.git#main:sub"), "{all}");
    }

    #[test]
    fn every_option_has_its_word() {
        let kit = KitOptions {
            additional_contexts: [("src".to_owned(), "/src".to_owned())].into(),
            cache_to: texts(["type=local,dest=/c"]),
            entitlements: texts(["network.host"]),
            extra_hosts: vec![("a".to_owned(), "::1".to_owned())],
            no_cache_filter: texts(["base"]),
            privileged: true,
            provenance: Some("mode=max".into()),
            sbom: Some("true".into()),
            ssh: texts(["default", "k=/key"]),
            ulimits: [("nofile".to_owned(), (1, 2))].into(),
        };
        let options = BuildOptions {
            cache_from: texts(["web:cache"]),
            labels: [("a".to_owned(), "b".to_owned())].into(),
            network: Some("none".into()),
            no_cache: true,
            pull: true,
            shm_size: Some(64),
            platforms: Vec::new(),
            tags: texts(["web:1"]),
            kit: Box::new(kit),
        };
        let args = [("ONE".to_owned(), Some("1 2".to_owned())), ("PASSED".to_owned(), None)].into();
        let build = Build { args, target: Some("prod".into()), options, ..build() };
        assert_eq!(build.beyond_classic().len(), 10);
        let said = words(&request(build), &texts(["linux/amd64", "linux/arm64"]));
        let expected = "--tag=web:1 --label=a=b --build-arg=ONE=1_2 --build-arg=PASSED --target=prod \
                        --platform=linux/amd64,linux/arm64 --no-cache --pull --network=none --shm-size=64 \
                        --cache-from=web:cache --cache-to=type=local,dest=/c --no-cache-filter=base \
                        --build-context=src=/src --add-host=a:::1 --ulimit=nofile=1:2 --allow=network.host \
                        --allow=security.insecure --provenance=mode=max --sbom=true --ssh=default --ssh=k=/key";
        for word in expected.split_whitespace() {
            assert!(said.contains(&word.replace('_', " ")), "{word} in {said:?}");
        }
        assert_eq!(said.len(), 8 + expected.split_whitespace().count());
    }

    #[test]
    fn secrets_stay_out_of_the_words() {
        let inline = |text: &str| FileContent::Inline { bytes: text.as_bytes().to_vec() };
        let secret = |id: &str, content| BuildSecret { id: id.to_owned(), content };
        let secrets =
            vec![secret("token", inline("hunter2")), secret("key", FileContent::Path { path: "/keys/a,b".into() })];
        let invocation = Invocation::of(&request(Build { secrets, ..build() }), &[]).unwrap();
        assert_eq!(invocation.environment, [("CONVOKE_BUILD_SECRET_0".to_owned(), "hunter2".to_owned())]);
        let words: Vec<&str> = invocation.arguments.iter().filter_map(|word| word.to_str()).collect();
        assert!(words.contains(&"--secret=id=token,env=CONVOKE_BUILD_SECRET_0"), "{words:?}");
        assert!(words.contains(&"--secret=id=key,\"src=/keys/a,b\""), "{words:?}");
        assert!(!words.iter().any(|word| word.contains("hunter2")));
        let long = vec![secret("long", inline(&"x".repeat(200_000)))];
        let error = Invocation::of(&request(Build { secrets: long, ..build() }), &[]).unwrap_err();
        assert!(error.contains("the secret long can't be passed on"), "{error}");
    }
}
