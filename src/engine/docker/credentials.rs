//! Registry credentials, from Docker's configuration file and its credential helpers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

/// Docker Hub's key in the configuration, for historical reasons a URL.
const HUB: &str = "https://index.docker.io/v1/";
/// A helper may have to unlock a key ring, but not to wait for a person who isn't there.
const HELPER_LIMIT: Duration = Duration::from_secs(15);

/// What Docker's `config.json` says about registries.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(rename = "credsStore", default)]
    store: Option<String>,
    #[serde(rename = "credHelpers", default)]
    helpers: BTreeMap<String, String>,
}

/// Says how many registries, never what for.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} registries, {} helpers)", self.auths.len(), self.helpers.len())
    }
}

#[derive(Clone, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(rename = "identitytoken", default)]
    identity_token: Option<String>,
}

impl Credentials {
    /// Reads `config.json` in Docker's folder; without one, or with one that can't be read, there are none.
    pub(super) fn read(folder: Option<&Path>) -> Self {
        let Some(path) = folder.map(|folder| folder.join("config.json")) else { return Self::default() };
        let Ok(text) = std::fs::read(&path) else { return Self::default() };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            // The error of the JSON parser quotes no values.
            tracing::warn!(path = %path.display(), %error, "registry credentials can't be read; going on without");
            Self::default()
        })
    }

    /// The credentials for an image's registry.
    ///
    /// # Errors
    /// A helper that fails is told as text: the caller may still go on without, and say so if that fails.
    pub(super) async fn for_image(&self, reference: &str) -> Result<Option<DockerCredentials>, String> {
        self.for_registry(registry_of(reference)).await
    }

    /// The credentials for several images, by registry, as a build wants them.
    pub(super) async fn for_images(
        &self,
        references: &[String],
    ) -> (std::collections::HashMap<String, DockerCredentials>, Vec<String>) {
        let mut found = std::collections::HashMap::new();
        let mut troubles = Vec::new();
        let registries: std::collections::BTreeSet<&str> =
            references.iter().map(|reference| registry_of(reference)).collect();
        for registry in registries {
            match self.for_registry(registry).await {
                Ok(Some(credentials)) => _ = found.insert(registry.to_owned(), credentials),
                Ok(None) => {}
                Err(trouble) => troubles.push(trouble),
            }
        }
        (found, troubles)
    }

    async fn for_registry(&self, registry: &str) -> Result<Option<DockerCredentials>, String> {
        let own = self.helpers.iter().find(|(key, _)| host_of(key) == host_of(registry)).map(|(_, helper)| helper);
        if let Some(helper) = own.or(self.store.as_ref()).filter(|helper| !helper.is_empty()) {
            return ask_helper(helper, registry).await;
        }
        let exact = self.auths.get(registry);
        let entry = exact
            .or_else(|| self.auths.iter().find(|(key, _)| host_of(key) == host_of(registry)).map(|(_, entry)| entry));
        Ok(entry.and_then(|entry| entry.credentials(registry)))
    }
}

impl Entry {
    fn credentials(&self, registry: &str) -> Option<DockerCredentials> {
        let decoded = self.auth.as_deref().and_then(|auth| STANDARD.decode(auth.trim()).ok());
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = text.as_deref().and_then(|text| text.split_once(':'));
        // A trailing NUL was written by old versions of Docker's client.
        let (name, password) = match pair {
            Some((name, password)) => (Some(name.to_owned()), Some(password.trim_end_matches('\0').to_owned())),
            None => (self.username.clone(), self.password.clone()),
        };
        let identity_token = self.identity_token.clone().filter(|token| !token.is_empty());
        (name.is_some() || identity_token.is_some()).then(|| DockerCredentials {
            username: name,
            password: password.filter(|_| identity_token.is_none()),
            identitytoken: identity_token,
            serveraddress: Some(registry.to_owned()),
            ..Default::default()
        })
    }
}

/// The registry of an image reference: its first part if that looks like a host, else Docker Hub.
fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => HUB,
            other => other,
        },
        _ => HUB,
    }
}

/// `https://host/v1/` and `host` mean the same registry.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    match rest.split('/').next().unwrap_or(rest) {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        host => host,
    }
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

async fn ask_helper(helper: &str, registry: &str) -> Result<Option<DockerCredentials>, String> {
    let program = format!("docker-credential-{helper}");
    if helper.contains('/') {
        return Err(format!("{program} is not the name of a credential helper"));
    }
    let output = match tokio::time::timeout(HELPER_LIMIT, run(&program, registry)).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{program}: {error}")),
        Err(_) => return Err(format!("{program}: no answer within {} s", HELPER_LIMIT.as_secs())),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let unknown = said.contains("credentials not found") || said.contains("no credentials server URL");
        return if unknown { Ok(None) } else { Err(format!("{program}: {} {said}", output.status)) };
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{program}: its answer can't be read: {error}"))?;
    // A helper says by this name that the secret is a token.
    let is_token = answer.username == "<token>";
    Ok(Some(DockerCredentials {
        username: (!is_token).then_some(answer.username),
        password: (!is_token).then(|| answer.secret.clone()),
        identitytoken: is_token.then_some(answer.secret),
        serveraddress: Some(registry.to_owned()),
        ..Default::default()
    }))
}

async fn run(program: &str, registry: &str) -> std::io::Result<std::process::Output> {
    let mut child = tokio::process::Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that ends without reading has its reasons in its answer.
        let _ = input.write_all(registry.as_bytes()).await;
    }
    child.wait_with_output().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Credentials {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn registries() {
        for (reference, registry) in [
            ("postgres:16", HUB),
            ("library/postgres", HUB),
            ("docker.io/library/postgres", HUB),
            ("ghcr.io/me/app:1", "ghcr.io"),
            ("localhost/app", "localhost"),
            ("box:5000/app@sha256:00", "box:5000"),
        ] {
            assert_eq!(registry_of(reference), registry, "{reference}");
        }
    }

    #[tokio::test]
    async fn plain_entries() {
        let auth = STANDARD.encode("me:pass:word");
        let all = config(&format!(
            r#"{{"auths": {{"{HUB}": {{"auth": "{auth}"}}, "https://box:5000/v2/": {{"identitytoken": "t"}},
                "odd.example": {{}}}}, "HttpHeaders": {{}}}}"#
        ));
        let hub = all.for_image("postgres").await.unwrap().unwrap();
        assert_eq!((hub.username.as_deref(), hub.password.as_deref()), (Some("me"), Some("pass:word")));
        assert_eq!(hub.serveraddress.as_deref(), Some(HUB));
        let token = all.for_image("box:5000/app").await.unwrap().unwrap();
        assert_eq!((token.username, token.identitytoken.as_deref()), (None, Some("t")));
        assert_eq!(all.for_image("odd.example/app").await.unwrap(), None);
        assert_eq!(all.for_image("ghcr.io/app").await.unwrap(), None);
        assert!(!format!("{all:?}").contains(&auth));
    }

    #[tokio::test]
    async fn a_missing_helper_is_told() {
        let all = config(r#"{"credsStore": "surely-not-installed"}"#);
        let error = all.for_image("postgres").await.unwrap_err();
        assert!(error.starts_with("docker-credential-surely-not-installed: "), "{error}");
        let all = config(r#"{"credHelpers": {"ghcr.io": "../../bin/sh"}}"#);
        assert!(all.for_image("ghcr.io/x").await.unwrap_err().contains("not the name"));
        assert_eq!(all.for_image("postgres").await.unwrap(), None);
    }
}
