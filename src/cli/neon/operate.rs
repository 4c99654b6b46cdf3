//! What the storage controller can do: nodes, shards, safekeepers; and everything on one screen.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::error::{CliError, INTERRUPTED};
use super::super::session::Session;
use super::args::{NodeCommand, OfTenant, SafekeeperCommand, ShardCommand};
use super::endpoint;
use super::link::Link;
use super::tenant::{json, tenants_table};
use crate::neon::api::TenantView;
use crate::neon::ids::TenantId;
use crate::neon::wire::{Node, Safekeeper, ShardDescription};
use crate::report::table;

/// Moving everything off a pageserver, or back.
const MOVING: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(250);

pub(super) async fn status(session: &Session) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    let mut overview = link.overview().await?;
    overview.warnings.extend(link.clock_warnings());
    let nodes = nodes(&link).await?;
    let safekeepers = safekeepers(&link).await?;
    let tenants: Vec<TenantView> = link.get("/v1/tenants").await?;
    if session.global.is_json() {
        let all = json!({ "control_plane": overview, "nodes": nodes, "safekeepers": safekeepers, "tenants": tenants });
        return json(session, &all);
    }
    let printer = &session.printer;
    match &overview.waits_for {
        None => printer.result(format_args!("cluster {}: ready", link.cluster)),
        Some(what) => printer.result(format_args!("cluster {}: not ready: {what}", link.cluster)),
    }
    for warning in &overview.warnings {
        printer.problem(format_args!("warning: {warning}"));
    }
    printer.result(format_args!("\n{}", nodes_table(session, &nodes)));
    printer.result(format_args!("\n{}", safekeepers_table(session, &safekeepers)));
    printer.result(format_args!("\n{}", tenants_table(session, &tenants)));
    printer.result(format_args!("\n{}", endpoint::endpoints(session, &link, &overview.endpoints)));
    Ok(0)
}

async fn nodes(link: &Link) -> Result<Vec<Node>, CliError> {
    link.controller(Method::GET, "/control/v1/node", None::<&()>).await
}

async fn safekeepers(link: &Link) -> Result<Vec<Safekeeper>, CliError> {
    link.controller(Method::GET, "/control/v1/safekeeper", None::<&()>).await
}

fn nodes_table(session: &Session, nodes: &[Node]) -> String {
    let header = ["PAGESERVER", "AVAILABILITY", "SCHEDULING", "ZONE", "ADDRESS"];
    let row = |node: &Node| {
        vec![
            node.id.to_string(),
            node.availability.clone(),
            node.scheduling.clone(),
            node.availability_zone_id.clone().unwrap_or_default(),
            format!("{}:{}", node.listen_pg_addr, node.listen_pg_port),
        ]
    };
    table::listing(&header, &nodes.iter().map(row).collect::<Vec<_>>(), "no pageservers", session.printer.out_theme())
}

fn safekeepers_table(session: &Session, safekeepers: &[Safekeeper]) -> String {
    let header = ["SAFEKEEPER", "SCHEDULING", "ZONE", "ADDRESS"];
    let row = |at: &Safekeeper| {
        let address = format!("{}:{}", at.host, at.port);
        vec![at.id.to_string(), at.scheduling_policy.clone(), at.availability_zone_id.clone(), address]
    };
    let rows: Vec<_> = safekeepers.iter().map(row).collect();
    table::listing(&header, &rows, "no safekeepers", session.printer.out_theme())
}

pub(super) async fn node(session: &Session, command: NodeCommand) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    match command {
        NodeCommand::List => {
            let nodes = nodes(&link).await?;
            if session.global.is_json() {
                return json(session, &nodes);
            }
            session.printer.result(nodes_table(session, &nodes));
            Ok(0)
        }
        NodeCommand::Drain { node } => moved(session, &link, node, "drain").await,
        NodeCommand::Fill { node } => {
            let now = find(&link, node).await?;
            // A drain ends in this state, in which nothing may be brought back.
            if now.scheduling == "PauseForRestart" {
                let body = json!({ "node_id": node, "scheduling": "Active" });
                link.controller::<Value>(Method::PUT, &format!("/control/v1/node/{node}/config"), Some(&body)).await?;
            }
            moved(session, &link, node, "fill").await
        }
        NodeCommand::Policy { node, policy } => {
            find(&link, node).await?;
            let body = json!({ "node_id": node, "scheduling": policy });
            link.controller::<Value>(Method::PUT, &format!("/control/v1/node/{node}/config"), Some(&body)).await?;
            Ok(0)
        }
        NodeCommand::Delete { node, force } => deleted(session, &link, node, force).await,
    }
}

/// Has the controller move everything off a pageserver and forget it.
async fn deleted(session: &Session, link: &Link, node: u64, force: bool) -> Result<u8, CliError> {
    if is_buried(link, node).await? {
        session.printer.result(format_args!("pageserver {node} is forgotten"));
        return Ok(0);
    }
    find(link, node).await?;
    let force = if force { "?force=true" } else { "" };
    let path = format!("/control/v1/node/{node}/delete{force}");
    link.controller::<Value>(Method::PUT, &path, None::<&()>).await?;
    let begun = Instant::now();
    while nodes(link).await?.iter().any(|known| known.id == node) {
        if begun.elapsed() > MOVING {
            return Err(CliError::failed(format!("pageserver {node} is still there after {} s", MOVING.as_secs()))
                .hint("convoke neon status shows what moves; it goes on"));
        }
        tokio::select! {
            () = session.interrupts.after(1) => return Ok(INTERRUPTED),
            () = sleep(POLL) => {}
        }
    }
    session.printer.result(format_args!("pageserver {node} is forgotten; convoke stop pageserver-{node} ends it"));
    Ok(0)
}

/// Whether a pageserver of this number was deleted before.
async fn is_buried(link: &Link, node: u64) -> Result<bool, CliError> {
    let buried: Value = link.controller(Method::GET, "/debug/v1/tombstone", None::<&()>).await?;
    Ok(buried.as_array().into_iter().flatten().any(|one| one["id"] == node))
}

async fn find(link: &Link, node: u64) -> Result<Node, CliError> {
    let nodes = nodes(link).await?;
    let there: Vec<String> = nodes.iter().map(|node| node.id.to_string()).collect();
    nodes.into_iter().find(|known| known.id == node).ok_or_else(|| {
        CliError::input(format!("there is no pageserver {node}")).hint(format!("one of {}", there.join(", ")))
    })
}

/// Begins a drain or a fill, and waits until the controller is done with it.
async fn moved(session: &Session, link: &Link, node: u64, what: &str) -> Result<u8, CliError> {
    find(link, node).await?;
    let path = format!("/control/v1/node/{node}/{what}");
    link.controller::<Value>(Method::PUT, &path, None::<&()>).await?;
    let begun = Instant::now();
    loop {
        let scheduling = find(link, node).await?.scheduling;
        if scheduling != "Draining" && scheduling != "Filling" {
            session.printer.result(format_args!("pageserver {node}: {what} is done, scheduling {scheduling}"));
            return Ok(0);
        }
        if begun.elapsed() > MOVING {
            return Err(CliError::failed(format!(
                "pageserver {node} is still {scheduling} after {} s",
                MOVING.as_secs()
            ))
            .hint("convoke neon status shows what moves; it goes on"));
        }
        tokio::select! {
            () = session.interrupts.after(1) => return Ok(INTERRUPTED),
            () = sleep(POLL) => {}
        }
    }
}

/// The tenant that is meant.
pub(super) async fn tenant_id(link: &Link, of: OfTenant) -> Result<TenantId, CliError> {
    if let Some(tenant) = of.tenant {
        return Ok(tenant);
    }
    let default = link.overview().await?.default_tenant;
    default.ok_or_else(|| CliError::input("there is no default tenant").hint("--tenant-id ID"))
}

pub(super) async fn shard(session: &Session, command: ShardCommand) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    match command {
        ShardCommand::Split { count, stripe_size, of } => {
            let tenant = tenant_id(&link, of).await?;
            // 3 would be taken, and is of no use.
            if !count.is_power_of_two() {
                return Err(CliError::input(format!("{count} shards: it must be a power of two")));
            }
            let body = json!({ "new_shard_count": count, "new_stripe_size": stripe_size });
            let path = format!("/control/v1/tenant/{tenant}/shard_split");
            let made: Value = link.controller(Method::PUT, &path, Some(&body)).await?;
            let shards: Vec<&str> =
                made["new_shards"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            session.printer.result(format_args!("tenant {tenant} has {count} shards: {}", shards.join(" ")));
        }
        ShardCommand::Migrate { shard, node, prewarm } => {
            find(&link, node).await?;
            let shard = match shard {
                Some(shard) => shard,
                None => only_shard(&link).await?,
            };
            let config = json!({ "override_scheduler": true, "prewarm": prewarm });
            let body = json!({ "node_id": node, "migration_config": config });
            let path = format!("/control/v1/tenant/{shard}/migrate");
            let before = trouble_of(&link, &shard).await?;
            link.controller::<Value>(Method::PUT, &path, Some(&body)).await?;
            // That is success for the controller, whether the shard has moved or will be tried again later.
            let after = trouble_of(&link, &shard).await?;
            if !after.is_empty() && after != before {
                return Err(CliError::failed(format!("shard {shard} could not be moved yet: {after}"))
                    .hint("the storage controller tries again by itself; convoke neon status shows it"));
            }
            let how = if prewarm { "moves to" } else { "is on" };
            session.printer.result(format_args!("shard {shard} {how} pageserver {node}"));
        }
    }
    Ok(0)
}

/// The last thing that went wrong with a shard, as the storage controller says; empty: nothing.
async fn trouble_of(link: &Link, shard: &str) -> Result<String, CliError> {
    let tenants: Vec<TenantView> = link.get("/v1/tenants").await?;
    let mut all = tenants.into_iter().flat_map(|view| view.description.shards);
    Ok(all.find(|known| known.tenant_shard_id == shard).map(|known| known.last_error).unwrap_or_default())
}

/// Of the default tenant, if it has just one.
async fn only_shard(link: &Link) -> Result<String, CliError> {
    let tenant = tenant_id(link, OfTenant { tenant: None }).await?;
    let tenants: Vec<TenantView> = link.get("/v1/tenants").await?;
    let found = tenants.into_iter().find(|view| view.description.tenant_id == tenant);
    let shards: Vec<ShardDescription> = found.map(|view| view.description.shards).unwrap_or_default();
    match shards.as_slice() {
        [shard] => Ok(shard.tenant_shard_id.clone()),
        shards => {
            let names: Vec<&str> = shards.iter().map(|shard| shard.tenant_shard_id.as_str()).collect();
            Err(CliError::input(format!("tenant {tenant} has {} shards", shards.len()))
                .hint(format!("--tenant-shard-id, one of {}", names.join(", "))))
        }
    }
}

pub(super) async fn safekeeper(session: &Session, command: SafekeeperCommand) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    let known = safekeepers(&link).await?;
    match command {
        SafekeeperCommand::List if session.global.is_json() => return json(session, &known),
        SafekeeperCommand::List => session.printer.result(safekeepers_table(session, &known)),
        SafekeeperCommand::Policy { safekeeper, policy } => {
            if !known.iter().any(|known| known.id == safekeeper) {
                return Err(CliError::input(format!("there is no safekeeper {safekeeper}"))
                    .hint("convoke neon safekeeper list"));
            }
            let body = json!({ "scheduling_policy": policy });
            let path = format!("/control/v1/safekeeper/{safekeeper}/scheduling_policy");
            link.controller::<Value>(Method::POST, &path, Some(&body)).await?;
        }
    }
    Ok(0)
}
