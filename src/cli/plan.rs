//! `convoke up --plan`: what `up` would do, and why. Changes nothing, and takes no lock.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use super::args::Up;
use super::error::CliError;
use super::session::Session;
use super::watchers::masker;
use crate::cluster::Cluster;
use crate::engine::{Engine, EngineError, ImageInfo};
use crate::names::ComponentName;
use crate::plan::diff;
use crate::plan::preview::{Asked, Preview};
use crate::report::table;

pub(super) async fn show<E: Engine>(
    session: &Session,
    engine: &E,
    cluster: &Cluster,
    args: &Up,
    only: Option<&BTreeSet<ComponentName>>,
) -> Result<u8, CliError> {
    let part = only.map(|only| cluster.reduced_to(only));
    let cluster = part.as_ref().unwrap_or(cluster);
    let looked = tokio::select! {
        biased;
        () = session.interrupts.after(1) => return Err(CliError::interrupted()),
        looked = async { tokio::try_join!(engine.observe(&cluster.name), images(engine, cluster)) } => looked,
    };
    let (mut observed, images) = looked?;
    diff::adopt_names(cluster, &mut observed);
    let asked =
        Asked { rebuild: args.making.build, replace_at_once: args.at_once, remove_orphans: args.making.remove_orphans };
    let preview = Preview::new(cluster, &observed, &images, asked);
    let text = if session.global.is_json() {
        serde_json::to_string_pretty(&preview).map_err(|error| CliError::failed(error.to_string()))?
    } else {
        table::preview(&preview, session.printer.out_theme())
    };
    session.printer.result(masker(cluster).mask(&text));
    Ok(u8::from(!preview.refusals.is_empty()))
}

/// Those of the cluster's images that the engine has.
async fn images<E: Engine>(engine: &E, cluster: &Cluster) -> Result<BTreeMap<String, ImageInfo>, EngineError> {
    let references: BTreeSet<&str> = cluster.components.values().flat_map(|one| cluster.images_behind(one)).collect();
    let look = |reference: &str| {
        let reference = reference.to_owned();
        async move { engine.image(&reference).await.map(|found| found.map(|info| (reference, info))) }
    };
    Ok(try_join_all(references.into_iter().map(look)).await?.into_iter().flatten().collect())
}
