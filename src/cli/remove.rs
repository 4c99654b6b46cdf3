//! `convoke rm`: remove containers that don't run.

use std::collections::BTreeSet;

use super::args::Remove;
use super::down::carry_out;
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose, now_text, run_id};
use super::up::lock;
use crate::drive::stop::StopRequest;
use crate::names::ComponentName;
use crate::plan::partial::is_up;
use crate::report::theme::count;

pub(super) async fn run(session: &Session, args: Remove) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.file).await?;
    let store = session.store(&cluster);
    let Some(_guard) = lock(session, &store, "rm", true).await? else { return Ok(INTERRUPTED) };
    let observed = session.observe(&engine, &cluster).await?;
    let mut only: BTreeSet<ComponentName> = choose(&observed, &args.components)?.into_iter().collect();
    if !args.stop {
        let runs = |name: &ComponentName| observed.containers.iter().any(|c| c.component == *name && is_up(c));
        only.retain(|name| !runs(name));
    }
    if only.is_empty() {
        session.printer.progress("nothing of that is stopped (--stop stops what runs)");
        return Ok(0);
    }
    if !args.force {
        let names: Vec<&str> = only.iter().map(ComponentName::as_str).collect();
        let what = format!("{} ({})", count(only.len(), "container"), names.join(", "));
        match session.confirm(&format!("remove {what}?")).await {
            Some(true) => {}
            Some(false) => return Err(CliError::input("nothing was removed").hint("--force removes without asking")),
            None => return Ok(INTERRUPTED),
        }
    }
    let request = StopRequest {
        run: run_id(),
        command: "rm".into(),
        time: now_text(),
        only: Some(only),
        remove: true,
        ..StopRequest::default()
    };
    carry_out(session, &engine, &cluster, &store, &request).await
}
