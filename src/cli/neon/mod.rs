//! `convoke neon`: what can be done with a cluster of the template neon, through its control plane.

mod args;
mod endpoint;
mod image;
mod import;
mod link;
mod operate;
mod program;
mod psql;
mod tenant;
mod tenant_args;

use args::NeonCommand;

use super::error::CliError;
use super::session::Session;
use crate::neon::run::{self, Paths};

pub(super) use args::Neon;
pub(super) use image::provide_image;

pub(super) async fn run(session: &Session, args: Neon) -> Result<u8, CliError> {
    match args.command {
        NeonCommand::Status => operate::status(session).await,
        NeonCommand::Psql(args) => psql::run(session, args).await,
        NeonCommand::Endpoint { command } => endpoint::run(session, command).await,
        NeonCommand::Tenant { command } => tenant::tenant(session, command).await,
        NeonCommand::Timeline { command } => tenant::timeline(session, command).await,
        NeonCommand::Node { command } => operate::node(session, command).await,
        NeonCommand::Shard { command } => operate::shard(session, command).await,
        NeonCommand::Safekeeper { command } => operate::safekeeper(session, command).await,
        NeonCommand::Jwt { scope, of } => endpoint::storage_token(session, scope, of).await,
        NeonCommand::Image { binary } => image::make(session, binary).await,
        NeonCommand::ControlPlane(args) => {
            let paths =
                Paths { config: args.config, data: args.data, public_key: args.public_key, tokens: args.tokens };
            if args.print_token {
                session.printer.result(run::token(&paths).map_err(failed)?);
                return Ok(0);
            }
            run::run(&paths).await.map_err(failed)?;
            Ok(0)
        }
    }
}

fn failed(error: anyhow::Error) -> CliError {
    CliError::failed(format!("{error:#}"))
}
