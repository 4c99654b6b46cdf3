//! `convoke neon tenant` and `convoke neon timeline`.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Map, Value};

use super::super::error::CliError;
use super::super::session::Session;
use super::args::OfTenant;
use super::import;
use super::link::Link;
use super::operate::tenant_id;
use super::tenant_args::{TenantCommand, TenantCreate, TimelineCommand};
use crate::neon::api::{self, TenantMade, TenantView, TimelineView};
use crate::neon::ids::TimelineId;
use crate::neon::server::encoded;
use crate::report::table;

pub(super) async fn tenant(session: &Session, command: TenantCommand) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    match command {
        TenantCommand::List => {
            let tenants: Vec<TenantView> = link.get("/v1/tenants").await?;
            if session.global.is_json() {
                return json(session, &tenants);
            }
            session.printer.result(tenants_table(session, &tenants));
        }
        TenantCommand::Create(args) => {
            let made: TenantMade = link.ask(Method::POST, "/v1/tenants", Some(&create(args)?)).await?;
            session
                .printer
                .result(format_args!("tenant {} with branch main, timeline {}", made.tenant_id, made.timeline_id));
        }
        TenantCommand::Config { config, of } => return configure(session, &link, &config, of).await,
        TenantCommand::Import { tenant, set_default } => {
            let path = format!("/v1/tenants/{tenant}/import");
            let made: api::TenantImported =
                link.ask(Method::POST, &path, Some(&api::TenantImport { set_default })).await?;
            let names: Vec<String> = made.branches.iter().map(|made| made.branch.to_string()).collect();
            session.printer.result(format_args!("tenant {tenant} with branches {}", names.join(", ")));
        }
        TenantCommand::Delete { tenant } => {
            link.ask::<Value>(Method::DELETE, &format!("/v1/tenants/{tenant}"), None::<&()>).await?;
        }
        TenantCommand::SetDefault { tenant } => {
            link.ask::<Value>(Method::PUT, &format!("/v1/tenants/{tenant}/default"), None::<&()>).await?;
        }
    }
    Ok(0)
}

/// Changes what is named and leaves the rest. (neon_local's replaces all of it.)
async fn configure(session: &Session, link: &Link, pairs: &[String], of: OfTenant) -> Result<u8, CliError> {
    let tenant = tenant_id(link, of).await?;
    if pairs.is_empty() {
        let all: Value = link.controller(Method::GET, &format!("/v1/tenant/{tenant}/config"), None::<&()>).await?;
        let text =
            if session.global.is_json() { serde_json::to_string(&all) } else { serde_json::to_string_pretty(&all) };
        session.printer.result(text.map_err(|error| CliError::failed(error.to_string()))?);
        return Ok(0);
    }
    let mut body = settings(pairs)?;
    for value in body.values_mut().filter(|value| value.as_str() == Some("")) {
        *value = Value::Null;
    }
    body.insert("tenant_id".into(), Value::String(tenant.to_string()));
    link.controller::<Value>(Method::PATCH, "/v1/tenant/config", Some(&body)).await?;
    Ok(0)
}

pub(super) fn json(session: &Session, value: &impl serde::Serialize) -> Result<u8, CliError> {
    session.printer.result(serde_json::to_string(value).map_err(|error| CliError::failed(error.to_string()))?);
    Ok(0)
}

/// A row a shard.
pub(super) fn tenants_table(session: &Session, tenants: &[TenantView]) -> String {
    let header = ["TENANT", "SHARD", "PAGESERVER", "SECONDARIES", "STATE"];
    let mut rows = Vec::new();
    for view in tenants {
        for (number, shard) in view.description.shards.iter().enumerate() {
            let mark = if view.is_default { " (default)" } else { "" };
            let secondaries: Vec<String> = shard.node_secondary.iter().map(u64::to_string).collect();
            let states = [
                (shard.is_splitting, "splitting"),
                (shard.is_reconciling, "moving"),
                (shard.is_pending_compute_notification, "computes not told yet"),
            ];
            let state: Vec<&str> = states.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            let state = if shard.last_error.is_empty() { state.join(", ") } else { shard.last_error.clone() };
            let suffix = shard.tenant_shard_id.get(33..).unwrap_or_default().to_owned();
            rows.push(vec![
                if number == 0 { format!("{}{mark}", view.description.tenant_id) } else { String::new() },
                suffix,
                shard.node_attached.map_or_else(|| "none".to_owned(), |node| node.to_string()),
                secondaries.join(" "),
                state,
            ]);
        }
        if view.description.shards.is_empty() {
            rows.push(vec![view.description.tenant_id.to_string(), String::new(), "detached".into()]);
            rows.last_mut().into_iter().for_each(|row| row.resize(header.len(), String::new()));
        }
    }
    table::listing(&header, &rows, "no tenants", session.printer.out_theme())
}

fn create(args: TenantCreate) -> Result<api::TenantCreate, CliError> {
    let placement = args.placement_policy.map(|text| {
        serde_json::from_str::<Value>(&text)
            .map_err(|error| CliError::input(format!("--placement-policy {text:?} isn't JSON: {error}")))
    });
    Ok(api::TenantCreate {
        tenant_id: args.tenant,
        timeline_id: args.timeline,
        pg_version: args.pg_version,
        shard_count: args.shard_count,
        stripe_size: args.shard_stripe_size,
        placement: placement.transpose()?,
        config: settings(&args.config)?,
        set_default: args.set_default,
    })
}

/// `key:value`; a number is a number, true and false are what they say.
fn settings(pairs: &[String]) -> Result<Map<String, Value>, CliError> {
    let pair = |text: &String| {
        let (key, value) = text
            .split_once(':')
            .ok_or_else(|| CliError::input(format!("-c {text:?} isn't key:value")).hint("-c pitr_interval:7d"))?;
        let plain = serde_json::from_str::<Value>(value).ok().filter(|value| value.is_number() || value.is_boolean());
        Ok((key.to_owned(), plain.unwrap_or_else(|| Value::String(value.to_owned()))))
    };
    pairs.iter().map(pair).collect()
}

/// The part of a path that names a tenant.
pub(super) fn path_of(of: OfTenant) -> String {
    of.tenant.map_or_else(|| "-".to_owned(), |tenant| tenant.to_string())
}

pub(super) async fn timeline(session: &Session, command: TimelineCommand) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    match command {
        TimelineCommand::List(of) => {
            let timelines: Vec<TimelineView> = link.get(&format!("/v1/tenants/{}/timelines", path_of(of))).await?;
            if session.global.is_json() {
                return json(session, &timelines);
            }
            session.printer.result(tree(&timelines));
        }
        TimelineCommand::Create { branch, timeline, pg_version, of } => {
            let body = api::TimelineCreate { branch, timeline_id: timeline, ancestor: None, at: None, pg_version };
            made(session, &link, of, &body).await?;
        }
        TimelineCommand::Branch { branch, timeline, ancestor, at, of } => {
            let ancestor = Some(ancestor);
            let body = api::TimelineCreate { branch, timeline_id: timeline, ancestor, at, pg_version: None };
            made(session, &link, of, &body).await?;
        }
        TimelineCommand::Import(args) => return import::run(session, &link, args).await,
        TimelineCommand::Safekeepers { branch, safekeepers, of } => {
            let path = format!("/v1/tenants/{}/timelines/{}/safekeepers", path_of(of), encoded(&branch));
            link.ask::<Value>(Method::PUT, &path, Some(&api::SafekeepersWanted { safekeepers })).await?;
        }
        TimelineCommand::Archive { branch, undo, of } => {
            let state = if undo { "Unarchived" } else { "Archived" };
            let path = format!("/v1/tenants/{}/timelines/{}/archival", path_of(of), encoded(&branch));
            link.ask::<Value>(Method::PUT, &path, Some(&serde_json::json!({ "state": state }))).await?;
        }
        TimelineCommand::Delete { branch, of } => {
            let path = format!("/v1/tenants/{}/timelines/{}", path_of(of), encoded(&branch));
            link.ask::<Value>(Method::DELETE, &path, None::<&()>).await?;
        }
    }
    Ok(0)
}

async fn made(session: &Session, link: &Link, of: OfTenant, body: &api::TimelineCreate) -> Result<(), CliError> {
    let path = format!("/v1/tenants/{}/timelines", path_of(of));
    let view: TimelineView = link.ask(Method::POST, &path, Some(body)).await?;
    let at = view.info.ancestor_lsn.filter(|_| view.info.ancestor_timeline_id.is_some());
    let from = at.map(|lsn| format!(" from {lsn}")).unwrap_or_default();
    session.printer.result(format_args!("branch {}{from}, timeline {}", body.branch, view.info.timeline_id));
    Ok(())
}

/// Branches under what they were branched from.
fn tree(timelines: &[TimelineView]) -> String {
    let mut children: BTreeMap<Option<TimelineId>, Vec<&TimelineView>> = BTreeMap::new();
    let known = |id: &TimelineId| timelines.iter().any(|view| view.info.timeline_id == *id);
    for view in timelines {
        children.entry(view.info.ancestor_timeline_id.filter(known)).or_default().push(view);
    }
    let mut lines = Vec::new();
    add(&children, None, "", &mut lines);
    if lines.is_empty() { "no timelines".to_owned() } else { lines.join("\n") }
}

fn add(
    children: &BTreeMap<Option<TimelineId>, Vec<&TimelineView>>,
    parent: Option<TimelineId>,
    indent: &str,
    lines: &mut Vec<String>,
) {
    let below = children.get(&parent).map(Vec::as_slice).unwrap_or_default();
    for (number, view) in below.iter().enumerate() {
        let is_last = number + 1 == below.len();
        let (own, deeper) = match (parent.is_some(), is_last) {
            (false, _) => ("", ""),
            (true, false) => ("├─ ", "│  "),
            (true, true) => ("└─ ", "   "),
        };
        let name = view.branch.as_ref().map_or("(no name)", |name| name.as_str());
        let at = view.info.ancestor_lsn.filter(|_| parent.is_some()).map(|lsn| format!("@{lsn} ")).unwrap_or_default();
        let info = &view.info;
        lines.push(format!(
            "{indent}{own}{at}{name}  {}  up to {}, Postgres {}",
            info.timeline_id, info.last_record_lsn, info.pg_version
        ));
        add(children, Some(info.timeline_id), &format!("{indent}{deeper}"), lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(n: u8, ancestor: Option<u8>, branch: Option<&str>) -> TimelineView {
        let id = |n: u8| format!("f00d00000000000000000000000000{n:02x}");
        serde_json::from_value(json!({ "branch": branch, "info": {
            "timeline_id": id(n), "ancestor_timeline_id": ancestor.map(id), "ancestor_lsn": ancestor.map(|_| "0/10"),
            "last_record_lsn": "0/20", "pg_version": 17, "state": "Active",
        } }))
        .unwrap()
    }

    #[test]
    fn branches_are_shown_as_a_tree() {
        let all = [
            view(1, None, Some("main")),
            view(3, Some(2), None),
            view(2, Some(1), Some("dev")),
            view(4, Some(1), Some("x")),
        ];
        insta::assert_snapshot!(tree(&all), @r"
        main  f00d0000000000000000000000000001  up to 0/20, Postgres 17
        ├─ @0/10 dev  f00d0000000000000000000000000002  up to 0/20, Postgres 17
        │  └─ @0/10 (no name)  f00d0000000000000000000000000003  up to 0/20, Postgres 17
        └─ @0/10 x  f00d0000000000000000000000000004  up to 0/20, Postgres 17
        ");
        assert_eq!(tree(&[]), "no timelines");
    }

    #[test]
    fn a_tenant_is_made_as_the_arguments_say() {
        let given = |placement: &str| TenantCreate {
            tenant: None,
            timeline: None,
            config: vec!["gc_horizon:1".into()],
            pg_version: Some(16),
            set_default: true,
            shard_count: 4,
            shard_stripe_size: None,
            placement_policy: Some(placement.to_owned()),
        };
        let made = create(given(r#"{"Attached":1}"#)).unwrap();
        assert_eq!(made.placement, Some(json!({ "Attached": 1 })));
        assert_eq!((made.pg_version, made.shard_count, made.config.len()), (Some(16), 4, 1));
        assert!(made.set_default);
        let wrong = create(given("Attached:1")).unwrap_err().error.to_string();
        assert!(wrong.starts_with("--placement-policy \"Attached:1\" isn't JSON"), "{wrong}");
    }

    #[test]
    fn settings_are_numbers_where_they_look_like_it() {
        let given =
            ["gc_horizon:1024".to_owned(), "pitr_interval:7d".to_owned(), "timeline_offloading:true".to_owned()];
        let expected = json!({ "gc_horizon": 1024, "pitr_interval": "7d", "timeline_offloading": true });
        assert_eq!(Value::Object(settings(&given).unwrap()), expected);
        assert!(settings(&["nothing".to_owned()]).is_err());
    }
}
