//! What a control plane is told at its start: a JSON file, made by the template.

use std::io;
use std::path::Path;

use serde::Deserialize;

use super::ids::{BranchName, EndpointName};

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `host:port` of the storage controller.
    pub storage_controller: String,
    /// `host:port` of the endpoint storage.
    #[serde(default)]
    pub endpoint_storage: Option<String>,
    /// How many pageservers to wait for before the first tenant is made.
    pub pageservers: usize,
    /// Those to register.
    pub safekeepers: Vec<SafekeeperSettings>,
    /// On how many safekeepers a timeline is.
    pub timeline_safekeepers: usize,
    /// Postgres' major version where nothing else is said.
    pub pg_version: u32,
    /// Whether the storage programs ask each other for tokens.
    #[serde(default)]
    pub auth: bool,
    /// The endpoints of the file.
    #[serde(default)]
    pub endpoints: Vec<DeclaredEndpoint>,
    /// How clients log in.
    pub login: Login,
    /// What all computes have in common.
    #[serde(default)]
    pub compute: ComputeSettings,
}

/// How Postgres is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeSettings {
    /// Further lines of postgresql.conf; they win.
    #[serde(default)]
    pub postgresql_conf: String,
    /// After so many seconds each what the cache of pages holds is noted, and fetched at the next start; 0: never.
    #[serde(default)]
    pub prewarm_seconds: u32,
}

/// A safekeeper, as the storage controller is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafekeeperSettings {
    /// Its number.
    pub id: u64,
    /// Its host's name.
    pub host: String,
    /// Where computes reach it.
    pub port: u16,
    /// Its management API.
    pub http_port: u16,
    /// Its zone: no two of a timeline may share one.
    pub zone: String,
}

/// An endpoint that the file has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredEndpoint {
    /// Its name.
    pub name: EndpointName,
    /// The branch that it serves; made if it isn't there.
    pub branch: BranchName,
    /// Of its branch, if that is made.
    pub pg_version: u32,
}

/// The role and the database that every endpoint has.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The role.
    pub role: String,
    /// Its password.
    pub password: String,
    /// The database, which it owns.
    pub database: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({}, …, {})", self.role, self.database)
    }
}

impl Settings {
    /// Reads the file.
    ///
    /// # Errors
    /// When it isn't there or isn't right.
    pub fn read(file: &Path) -> io::Result<Self> {
        let bad = |error: &dyn std::fmt::Display| io::Error::other(format!("can't read {}: {error}", file.display()));
        let text = std::fs::read(file).map_err(|error| bad(&error))?;
        serde_json::from_slice(&text).map_err(|error| bad(&error))
    }
}
