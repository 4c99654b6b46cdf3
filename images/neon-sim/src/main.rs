//! A stand-in for Neon's storage programs: their management plane, without any pages. One binary; the name it is
//! called by, or its first argument, says which program it is.

mod auth;
mod broker;
mod client;
mod compute;
mod controller;
mod endpoint_storage;
mod exit;
mod fault;
mod files;
mod http;
mod ids;
mod jwt;
mod listen;
mod pageserver;
mod pg;
mod psql;
mod s3;
mod safekeeper;
mod signals;
mod wire;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use exit::Failure;
use fault::Faults;
use tracing_subscriber::EnvFilter;

/// What `--version` says of each program.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (neon-sim: a simulation which stores no pages)");
const USAGE: &str = "usage: neon-sim ROLE [arguments of that program]
ROLE is storage_broker, storage_controller, pageserver, safekeeper, endpoint_storage, compute_ctl, psql or minio; a link of that name to neon-sim does as well";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Broker,
    Controller,
    Pageserver,
    Safekeeper,
    EndpointStorage,
    Compute,
    Psql,
    S3,
}

impl Role {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "storage_broker" => Self::Broker,
            "storage_controller" => Self::Controller,
            "pageserver" => Self::Pageserver,
            "safekeeper" => Self::Safekeeper,
            "endpoint_storage" => Self::EndpointStorage,
            "compute_ctl" => Self::Compute,
            "psql" => Self::Psql,
            "minio" => Self::S3,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Broker => "storage_broker",
            Self::Controller => "storage_controller",
            Self::Pageserver => "pageserver",
            Self::Safekeeper => "safekeeper",
            Self::EndpointStorage => "endpoint_storage",
            Self::Compute => "compute_ctl",
            Self::Psql => "psql",
            Self::S3 => "minio",
        }
    }

    /// Who this is, and the arguments meant for it.
    fn of(mut args: Vec<OsString>) -> Option<(Self, Vec<OsString>)> {
        let name = |arg: &OsString| Path::new(arg).file_name()?.to_str().and_then(Self::from_name);
        if let Some(role) = args.first().and_then(name) {
            return Some((role, args));
        }
        let role = args.get(1).and_then(|arg| Self::from_name(arg.to_str()?))?;
        args.remove(0);
        Some((role, args))
    }
}

fn main() -> ExitCode {
    match Role::of(std::env::args_os().collect()) {
        Some((role, args)) => start(role, args).unwrap_or_else(|failure| failure.report()),
        None if std::env::args_os().nth(1).is_some_and(|arg| arg == "--version") => {
            println!("neon-sim {VERSION}");
            ExitCode::SUCCESS
        }
        None => Failure::usage(USAGE).report(),
    }
}

fn start(role: Role, args: Vec<OsString>) -> Result<ExitCode, Failure> {
    match role {
        Role::Broker => with_options::<broker::Options, _>(role, args, broker::run),
        Role::Controller => with_options::<controller::Options, _>(role, args, controller::run),
        Role::Pageserver => with_options::<pageserver::Options, _>(role, args, pageserver::run),
        Role::Safekeeper => with_options::<safekeeper::Options, _>(role, args, safekeeper::run),
        Role::EndpointStorage => with_options::<endpoint_storage::Options, _>(role, args, endpoint_storage::run),
        Role::Compute => with_options::<compute::Options, _>(role, args, compute::run),
        Role::Psql => with_options::<psql::Options, _>(role, args, psql::run),
        Role::S3 => with_options::<s3::Options, _>(role, args, s3::run),
    }
}

/// Reads the arguments and runs the program to its end.
fn with_options<O: Parser, F: Future<Output = Result<(), Failure>>>(
    role: Role,
    args: Vec<OsString>,
    run: impl FnOnce(O, Arc<Faults>) -> F,
) -> Result<ExitCode, Failure> {
    let options = match O::try_parse_from(args) {
        Ok(options) => options,
        Err(error) => {
            // Nobody is left to tell if the terminal is gone.
            let _ = error.print();
            return Ok(if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS });
        }
    };
    let is_tool = role == Role::Psql;
    let faults = Arc::new(if is_tool { Faults::default() } else { Faults::from_environment()? });
    let default = if is_tool { "off" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).init();
    tracing::info!("{} {VERSION}", role.name());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run(options, faults));
    // A call that hangs (a peer that never answers) must not keep the program.
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}
