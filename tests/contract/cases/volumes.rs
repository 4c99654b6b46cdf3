//! Volumes, named and anonymous.

use convoke::cluster::{Mount, MountKind};
use convoke::engine::{CreateContainer, Engine, ErrorKind};
use convoke::names::VolumeKey;

use crate::context::Cx;

pub(crate) async fn a_volume_is_made_once<E: Engine>(cx: &Cx<E>) {
    let name = cx.volume("v").await;
    cx.volume("v").await;
    let seen = cx.engine.observe(&cx.cluster).await.unwrap().volumes;
    assert_eq!(seen.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>(), [name.as_str()]);
    assert_eq!(seen[0].labels, cx.labels());
    for _ in 0..2 {
        cx.engine.remove_volume(&name).await.unwrap();
    }
}

pub(crate) async fn one_in_use_stays<E: Engine>(cx: &Cx<E>) {
    let name = cx.volume("v").await;
    let mut request = cx.request("a", &[]);
    let key = VolumeKey::new("v").unwrap();
    request.volumes.insert("v".to_owned(), cx.volume_request("v"));
    let kind = MountKind::Volume { key, nocopy: false };
    request.spec.mounts.push(Mount::new("/data", kind, false));
    let id = cx.create(&request).await.unwrap();
    assert_eq!(cx.inspect(&id).await.anonymous_volumes.len(), 0);
    assert_eq!(cx.engine.remove_volume(&name).await.unwrap_err().kind, ErrorKind::InUse);
    cx.engine.remove(&id, true).await.unwrap();
    let seen = cx.engine.observe(&cx.cluster).await.unwrap().volumes;
    assert_eq!(seen.len(), 1, "a named volume outlives its container");
}

pub(crate) async fn one_that_was_removed_meanwhile_is_ours_again<E: Engine>(cx: &Cx<E>) {
    let name = cx.volume("v").await;
    cx.engine.remove_volume(&name).await.unwrap();
    let mut request = cx.request("a", &[]);
    let key = VolumeKey::new("v").unwrap();
    request.volumes.insert("v".to_owned(), cx.volume_request("v"));
    let kind = MountKind::Volume { key, nocopy: false };
    request.spec.mounts.push(Mount::new("/data", kind, false));
    cx.create(&request).await.unwrap();
    let seen = cx.engine.observe(&cx.cluster).await.unwrap().volumes;
    assert_eq!(seen.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>(), [name.as_str()]);
    assert_eq!(seen[0].labels, cx.labels());
}

fn with_anonymous<E: Engine>(cx: &Cx<E>, component: &str) -> CreateContainer {
    let mut request = cx.request(component, &[]);
    let kind = MountKind::Anonymous;
    request.spec.mounts.push(Mount::new("/scratch", kind, false));
    request
}

async fn is_there<E: Engine>(cx: &Cx<E>, volume: &str) -> bool {
    cx.engine.observe(&cx.cluster).await.unwrap().other_volumes.iter().any(|name| name == volume)
}

pub(crate) async fn anonymous_ones_go_when_asked<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&with_anonymous(cx, "a")).await.unwrap();
    let volume = cx.inspect(&id).await.anonymous_volumes["/scratch"].clone();
    assert!(is_there(cx, &volume).await);
    cx.engine.remove(&id, true).await.unwrap();
    assert!(!is_there(cx, &volume).await);
}

pub(crate) async fn anonymous_ones_stay_otherwise<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&with_anonymous(cx, "a")).await.unwrap();
    let volume = cx.inspect(&id).await.anonymous_volumes["/scratch"].clone();
    cx.engine.remove(&id, false).await.unwrap();
    assert!(is_there(cx, &volume).await);
    cx.engine.remove_volume(&volume).await.unwrap();
}

/// A replacement takes them over; to the engine they look named from then on, and must go all the same in the end.
pub(crate) async fn carried_ones_go_with_their_new_container<E: Engine>(cx: &Cx<E>) {
    let old = cx.create(&with_anonymous(cx, "a")).await.unwrap();
    let volumes = cx.inspect(&old).await.anonymous_volumes;
    let mut replacement = with_anonymous(cx, "b");
    replacement.carried_volumes = volumes.clone();
    let new = cx.create(&replacement).await.unwrap();
    assert_eq!(cx.inspect(&new).await.anonymous_volumes, volumes);
    cx.engine.remove(&old, false).await.unwrap();
    assert!(is_there(cx, &volumes["/scratch"]).await);
    cx.engine.remove(&new, true).await.unwrap();
    assert!(!is_there(cx, &volumes["/scratch"]).await);
}

pub(crate) async fn those_of_an_image_are_anonymous<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &[]);
    request.image = cx.image_with("volume");
    let image = cx.engine.image(&request.image).await.unwrap().unwrap();
    assert_eq!(image.volumes, ["/data"]);
    let id = cx.create(&request).await.unwrap();
    let volume = cx.inspect(&id).await.anonymous_volumes["/data"].clone();
    assert!(is_there(cx, &volume).await);
    cx.engine.remove(&id, true).await.unwrap();
    assert!(!is_there(cx, &volume).await);
}

pub(crate) async fn a_mount_covers_that_of_an_image<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &[]);
    request.image = cx.image_with("volume");
    let kind = MountKind::Tmpfs { size: None, mode: None, options: None };
    request.spec.mounts.push(Mount::new("/data", kind, false));
    let id = cx.create(&request).await.unwrap();
    assert!(cx.inspect(&id).await.anonymous_volumes.is_empty());
}
