//! Where the engine is: the address given, the environment, Docker's contexts, the default sockets.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// Plain HTTP to `host:port`.
    Tcp(String),
}

impl Address {
    /// Parses `unix:///path`, `tcp://host:port`, `http://host:port` or an absolute path.
    ///
    /// # Errors
    /// For any other transport; the text says what to do instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let instead = "forward the engine's socket, such as with ssh -L /tmp/docker.sock:/var/run/docker.sock, and set \
                       DOCKER_HOST=unix:///tmp/docker.sock";
        match text.split_once("://") {
            None if text.starts_with('/') => Ok(Self::Unix(PathBuf::from(text))),
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some(("tcp" | "http", rest)) => Self::tcp(text, rest),
            Some(("ssh", _)) => Err(format!("{text}: ssh is not supported; {instead}")),
            Some(("https", _)) => Err(format!("{text}: TLS is not supported; {instead}")),
            Some(("npipe", _)) => Err(format!("{text}: Windows named pipes are not supported; use WSL")),
            _ => Err(format!("{text:?} is not an engine's address; write unix:///path/to/socket or tcp://host:port")),
        }
    }

    fn tcp(text: &str, rest: &str) -> Result<Self, String> {
        let host = rest.strip_suffix('/').unwrap_or(rest);
        let wrong = || format!("{text:?} is not an engine's address; write tcp://host:port");
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong());
        }
        let (name, port) = match host.rsplit_once(':') {
            // The last colon of a bare IPv6 address is not a port's.
            Some((name, port)) if !port.contains(']') => (name, port.parse::<u16>().map_err(|_| wrong())?),
            _ => (host, 2375),
        };
        Ok(Self::Tcp(format!("{name}:{port}")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

/// What the search looks at, taken from the process once so that tests can give their own.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    variables: BTreeMap<String, String>,
    home: Option<PathBuf>,
}

/// Variables that the search reads; empty ones count as unset, as in Docker's own client.
const VARIABLES: [&str; 8] = [
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_TLS",
    "XDG_RUNTIME_DIR",
    "DOCKER_BUILDKIT",
    "DOCKER_DEFAULT_PLATFORM",
];

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = VARIABLES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Self { variables, home: std::env::home_dir() }
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Docker's folder of configuration: `$DOCKER_CONFIG`, else `~/.docker`.
    #[must_use]
    pub fn docker_config(&self) -> Option<PathBuf> {
        match self.variable("DOCKER_CONFIG") {
            Some(path) => Some(PathBuf::from(path)),
            None => self.home.as_ref().map(|home| home.join(".docker")),
        }
    }

    /// Finds the engine: `explicit`, then `DOCKER_HOST`, `DOCKER_CONTEXT`, the configured context, the default
    /// sockets.
    ///
    /// # Errors
    /// When what is asked for can't be read or uses a transport that isn't supported.
    pub fn engine_address(&self, explicit: Option<&str>) -> Result<Address, String> {
        let address = match explicit.or_else(|| self.variable("DOCKER_HOST")) {
            Some(text) => Address::parse(text)?,
            None => match self.context_name()? {
                Some(name) => self.context_address(&name)?,
                None => self.default_socket(),
            },
        };
        let tls = ["DOCKER_TLS_VERIFY", "DOCKER_TLS"].into_iter().find(|name| self.variable(name).is_some());
        if let (Address::Tcp(_), Some(name)) = (&address, tls) {
            return Err(format!(
                "{name} is set and {address} would need TLS, which is not supported; forward the engine's socket over \
                 ssh instead, or unset it for an engine that listens without TLS"
            ));
        }
        Ok(address)
    }

    fn context_name(&self) -> Result<Option<String>, String> {
        let name = match self.variable("DOCKER_CONTEXT") {
            Some(name) => Some(name.to_owned()),
            None => self.configured_context()?,
        };
        Ok(name.filter(|name| name != "default"))
    }

    fn configured_context(&self) -> Result<Option<String>, String> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(rename = "currentContext", default)]
            current_context: Option<String>,
        }
        let Some(path) = self.docker_config().map(|folder| folder.join("config.json")) else { return Ok(None) };
        let Ok(text) = std::fs::read(&path) else { return Ok(None) };
        let config: Config = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(config.current_context.filter(|name| !name.is_empty()))
    }

    fn context_address(&self, name: &str) -> Result<Address, String> {
        let contexts = self.docker_config().unwrap_or_default().join("contexts");
        let digest = hex(&Sha256::digest(name.as_bytes()));
        let path = contexts.join("meta").join(&digest).join("meta.json");
        let text = std::fs::read(&path).map_err(|error| {
            format!("Docker's context {name:?} can't be read ({}: {error}); see docker context ls", path.display())
        })?;
        let meta: ContextMeta =
            serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let host = meta.endpoints.docker.map(|docker| docker.host).unwrap_or_default();
        if host.is_empty() {
            return Ok(self.default_socket());
        }
        let address = Address::parse(&host).map_err(|error| format!("Docker's context {name:?}: {error}"))?;
        let keys = contexts.join("tls").join(digest).join("docker");
        if matches!(address, Address::Tcp(_)) && has_entries(&keys) {
            return Err(format!(
                "Docker's context {name:?} uses TLS, which is not supported; forward the engine's socket over ssh \
                 instead and set DOCKER_HOST to it"
            ));
        }
        Ok(address)
    }

    /// The system's socket; that of a rootless engine if the system has none.
    fn default_socket(&self) -> Address {
        let system = PathBuf::from("/var/run/docker.sock");
        let rootless = self.variable("XDG_RUNTIME_DIR").map(|folder| Path::new(folder).join("docker.sock"));
        match rootless {
            Some(socket) if !system.exists() && socket.exists() => Address::Unix(socket),
            _ => Address::Unix(system),
        }
    }
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints", default)]
    endpoints: ContextEndpoints,
}

#[derive(Deserialize, Default)]
struct ContextEndpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

fn has_entries(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Surroundings {
        pub(in crate::engine::docker) fn with(pairs: &[(&str, &str)]) -> Self {
            let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Self { variables, home: None }
        }
    }

    fn with(pairs: &[(&str, &str)]) -> Surroundings {
        Surroundings::with(pairs)
    }

    #[test]
    fn addresses() {
        let unix = Address::Unix("/run/d.sock".into());
        assert_eq!(Address::parse("unix:///run/d.sock").unwrap(), unix);
        assert_eq!(Address::parse("/run/d.sock").unwrap(), unix);
        assert_eq!(Address::parse("tcp://[::1]:2376").unwrap(), Address::Tcp("[::1]:2376".into()));
        assert_eq!(Address::parse("http://box/").unwrap(), Address::Tcp("box:2375".into()));
        assert_eq!(Address::parse("tcp://[::1]").unwrap(), Address::Tcp("[::1]:2375".into()));
    }

    #[test]
    fn other_transports_are_refused_by_name() {
        for (text, name) in [
            ("ssh://me@box", "ssh is not supported"),
            ("https://box:2376", "TLS is not supported"),
            ("npipe:////./pipe/docker_engine", "named pipes"),
            ("box:2375", "is not an engine's address"),
            ("unix://relative", "is not an engine's address"),
            ("tcp://box:port", "is not an engine's address"),
            ("tcp://", "is not an engine's address"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(name), "{text}: {error}");
        }
    }

    #[test]
    fn an_explicit_address_wins_over_the_environment() {
        let around = with(&[("DOCKER_HOST", "tcp://a:1"), ("DOCKER_CONTEXT", "nowhere")]);
        assert_eq!(around.engine_address(Some("tcp://b:2")).unwrap(), Address::Tcp("b:2".into()));
        assert_eq!(around.engine_address(None).unwrap(), Address::Tcp("a:1".into()));
    }

    #[test]
    fn tls_by_the_environment_is_refused() {
        let around = with(&[("DOCKER_HOST", "tcp://a:2376"), ("DOCKER_TLS_VERIFY", "1")]);
        assert!(around.engine_address(None).unwrap_err().contains("DOCKER_TLS_VERIFY"));
        let around = with(&[("DOCKER_HOST", "unix:///x.sock"), ("DOCKER_TLS_VERIFY", "1")]);
        assert_eq!(around.engine_address(None).unwrap(), Address::Unix("/x.sock".into()));
    }

    #[test]
    fn contexts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, host: &str, tls: bool| {
            let digest = hex(&Sha256::digest(name.as_bytes()));
            let meta = folder.path().join("contexts/meta").join(&digest);
            std::fs::create_dir_all(&meta).unwrap();
            let text = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
            std::fs::write(meta.join("meta.json"), text).unwrap();
            if tls {
                let keys = folder.path().join("contexts/tls").join(digest).join("docker");
                std::fs::create_dir_all(&keys).unwrap();
                std::fs::write(keys.join("ca.pem"), "x").unwrap();
            }
        };
        write("plain", "unix:///plain.sock", false);
        write("locked", "tcp://a:2376", true);
        write("far", "ssh://a", false);
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"plain"}"#).unwrap();
        let config = folder.path().to_str().unwrap();
        let choose = |context: Option<&str>| {
            let mut around = with(&[("DOCKER_CONFIG", config)]);
            around.variables.extend(context.map(|name| ("DOCKER_CONTEXT".to_owned(), name.to_owned())));
            around.engine_address(None)
        };
        assert_eq!(choose(None).unwrap(), Address::Unix("/plain.sock".into()));
        assert!(choose(Some("locked")).unwrap_err().contains("uses TLS"));
        assert!(choose(Some("far")).unwrap_err().contains("ssh is not supported"));
        assert!(choose(Some("gone")).unwrap_err().contains("docker context ls"));
        assert!(matches!(choose(Some("default")).unwrap(), Address::Unix(_)));
    }
}
