//! `--force-recreate`, `--no-recreate`: which containers a command wants replaced.

use super::harness::*;
use crate::cluster::{Cluster, Recreate};
use crate::drive::driver::Options;
use crate::event::Outcome;

fn with(cluster: &Cluster, component: &str, recreate: Recreate) -> Cluster {
    let mut cluster = cluster.clone();
    cluster.components.get_mut(component).unwrap().recreate = recreate;
    cluster
}

fn options(run: &str) -> Options {
    Options { run: run.into(), ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_made_anew_is_made_anew_once() {
    let (engine, cluster) = (engine(1), cluster([http("a"), http("b")]));
    up(&engine, &cluster).await.is(Outcome::Ready);
    let before = (find(&engine, "a").id, find(&engine, "b").id);
    let asked = with(&cluster, "a", Recreate::All { run: "second".into() });
    up_with(&engine, &asked, options("second")).await.is(Outcome::Ready);
    let after = (find(&engine, "a").id, find(&engine, "b").id);
    assert!(after.0 != before.0 && after.1 == before.1);
    // Going on with the same run, and asked nothing any more.
    up_with(&engine, &asked, options("second")).await.is(Outcome::Ready);
    up(&engine, &cluster).await.is(Outcome::Ready);
    assert_eq!(find(&engine, "a").id, after.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_stay_stays_however_outdated() {
    let (engine, mut cluster) = (engine(1), cluster([http("a"), http("b")]));
    up(&engine, &cluster).await.is(Outcome::Ready);
    let before = fingerprint(&engine);
    for name in ["a", "b"] {
        cluster.components.get_mut(name).unwrap().config_hash = "another".into();
    }
    let asked = with(&with(&cluster, "a", Recreate::None), "b", Recreate::None);
    up(&engine, &asked).await.is(Outcome::Ready);
    assert_eq!(fingerprint(&engine), before);
    up(&engine, &with(&cluster, "a", Recreate::None)).await.is(Outcome::Ready);
    let after = fingerprint(&engine);
    assert_eq!(before.keys().filter(|id| after.contains_key(*id)).count(), 1, "b is replaced");
}
