//! A component on another one's network.

use super::harness::*;
use crate::cluster::{Cluster, GateCondition};
use crate::engine::Engine;
use crate::engine::fake::Op;
use crate::event::Outcome;

/// `side` is on the network of `web`, whose configuration this is.
fn pair(configuration: &str) -> Cluster {
    let mut web = http("web");
    web.config_hash = configuration.to_owned();
    let mut side = gated(plain("side"), GateCondition::Started, "web");
    side.spec.networks.clear();
    side.spec.network_mode = Some(format!("container:{}", web.container_name));
    cluster([web, side])
}

#[tokio::test(start_paused = true)]
async fn it_is_made_after_the_other_and_anew_with_it() {
    let engine = engine(1);
    up(&engine, &pair("first")).await.is(Outcome::Ready);
    assert_eq!(calls(&engine, Op::Create, "side").len(), 1, "not before there is something to share");
    let (web, side) = (find(&engine, "web").id, find(&engine, "side"));
    assert_eq!(side.shares_network.as_deref(), Some(web.as_str()));
    up(&engine, &pair("second")).await.is(Outcome::Ready);
    let (new_web, new_side) = (find(&engine, "web").id, find(&engine, "side"));
    assert!(new_web != web && new_side.id != side.id);
    assert_eq!(new_side.shares_network.as_deref(), Some(new_web.as_str()));
    let ran = up(&engine, &pair("second")).await.is(Outcome::Ready);
    assert_eq!(find(&engine, "side").id, new_side.id, "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn one_whose_network_was_removed_by_hand_is_made_anew() {
    let engine = engine(2);
    up(&engine, &pair("first")).await.is(Outcome::Ready);
    engine.remove(&find(&engine, "web").id, true).await.unwrap();
    up(&engine, &pair("first")).await.is(Outcome::Ready);
    let web = find(&engine, "web").id;
    assert_eq!(find(&engine, "side").shares_network.as_deref(), Some(web.as_str()));
}
