//! `up` on a cluster that runs already.

use super::harness::*;
use crate::cluster::{Cluster, Component, GateCondition, Mount, MountKind, RestartPolicy};
use crate::drive::driver::Options;
use crate::drive::stop::StopRequest;
use crate::engine::fake::{Behaviour, Latency, Op};
use crate::engine::{Engine, ImageInfo};
use crate::event::{EventKind, Outcome};

#[tokio::test(start_paused = true)]
async fn nothing_is_touched() {
    let mut job = plain("job");
    job.completes = true;
    let cluster = cluster([http("a"), checked("b"), plain("c"), job, gated(http("d"), GateCondition::Ready, "a")]);
    let engine = engine(1).behave("job", Behaviour::exits(ms(50), 0));
    up(&engine, &cluster).await.is(Outcome::Ready);
    let (before, calls) = (fingerprint(&engine), engine.changing_calls().len());
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert_eq!(engine.changing_calls().len(), calls, "{:?}", &engine.changing_calls()[calls..]);
    assert_eq!(fingerprint(&engine), before);
    for event in &ran.events {
        if let EventKind::Planned { actions } = &event.kind {
            assert!(actions.iter().all(|action| action.action == "keep"), "{actions:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn http_probed_ones_answer_in_tens_of_milliseconds() {
    let names: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    let cluster = cluster(names.iter().map(|name| http(name)));
    let engine = engine(1);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(ran.took < ms(100), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn exec_probed_ones_are_verified_within_a_second() {
    let names: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    let cluster = cluster(names.iter().map(|name| checked(name)));
    let engine = engine(1);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(ran.took < secs(1), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn one_that_ran_for_a_second_already_need_not_do_so_again() {
    let cluster = cluster([plain("a")]);
    let engine = engine(1);
    up(&engine, &cluster).await.is(Outcome::Ready);
    tokio::time::sleep(secs(10)).await;
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(ran.took < ms(1300), "{}", ran.story());
}

fn changed(cluster: &Cluster, component: &str) -> Cluster {
    let mut cluster = cluster.clone();
    cluster.components.get_mut(component).unwrap().config_hash = "second".into();
    cluster
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_is_replaced_with_its_address_and_volumes() {
    let info = ImageInfo { id: "sha256:1".into(), volumes: vec!["/data".into()], ..ImageInfo::default() };
    let engine = engine(1).with_image_info("image", info);
    let first = cluster([http("a"), http("b"), http("c")]);
    up(&engine, &first).await.is(Outcome::Ready);
    let (before, old) = (fingerprint(&engine), find(&engine, "b"));
    let second = changed(&first, "b");
    let ran = up(&engine, &second).await.is(Outcome::Ready);
    let new = find(&engine, "b");
    assert_ne!(old.id, new.id);
    assert_eq!(new.name, old.name);
    assert_eq!(new.networks["test_default"].fixed_address, old.networks["test_default"].fixed_address);
    assert_eq!(new.anonymous_volumes, old.anonymous_volumes);
    assert!(engine.networks_and_volumes().1.contains(&old.anonymous_volumes["/data"]));
    let after = fingerprint(&engine);
    assert_eq!(after.len(), 3);
    assert_eq!(after.iter().filter(|(id, at)| before.get(*id) == Some(*at)).count(), 2, "{}", ran.story());
    assert!(engine.violations().is_empty(), "{:?}", engine.violations());
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_was_killed_anywhere_is_finished_by_the_next_up() {
    let info = ImageInfo { id: "sha256:1".into(), volumes: vec!["/data".into()], ..ImageInfo::default() };
    for cut in (0..60).map(|n| ms(n * 7)) {
        let engine = engine(cut.as_millis() as u64).with_image_info("image", info.clone());
        let first = cluster([http("a"), http("b")]);
        up(&engine, &first).await.is(Outcome::Ready);
        let old = find(&engine, "b");
        let second = changed(&first, "b");
        cut_short(&engine, &second, Default::default(), cut).await;
        let ran = up(&engine, &second).await.is(Outcome::Ready);
        let new = find(&engine, "b");
        assert_eq!(engine.containers().len(), 2, "{cut:?}\n{}", ran.story());
        assert_eq!(new.name, "test-b-1");
        assert_eq!(new.networks["test_default"].fixed_address, old.networks["test_default"].fixed_address);
        assert_eq!(new.anonymous_volumes, old.anonymous_volumes, "{cut:?}");
        assert!(engine.violations().is_empty(), "{:?}", engine.violations());
    }
}

/// Each answer made the other one worthless, for ever, as soon as lists took longer than inspections.
#[tokio::test(start_paused = true)]
async fn a_replacement_ends_where_lists_are_slower_than_inspections() {
    let engine = engine(1).latency(Latency { call: (ms(1), ms(1)), list: (ms(10), ms(10)), ..Latency::default() });
    let first = cluster([http("a"), http("b")]);
    up(&engine, &first).await.is(Outcome::Ready);
    let ran = up(&engine, &changed(&first, "a")).await.is(Outcome::Ready);
    assert!(ran.took < secs(2), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_changed_image_replaces_too() {
    let engine = engine(1);
    let cluster = cluster([http("a")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let old = find(&engine, "a");
    let engine = engine.with_image_info("image", ImageInfo { id: "sha256:2".into(), ..ImageInfo::default() });
    up(&engine, &cluster).await.is(Outcome::Ready);
    assert_ne!(find(&engine, "a").id, old.id);
}

fn replica(n: u32, of: u32) -> Component {
    let text = if of == 1 { "web".to_owned() } else { format!("web-{n}") };
    let mut component = http(&text);
    component.service = "web".parse().unwrap();
    component.number = n;
    component.container_name = format!("test-web-{n}");
    component
}

#[tokio::test(start_paused = true)]
async fn replicas_come_and_go() {
    let engine = engine(1);
    up(&engine, &cluster([replica(1, 1)])).await.is(Outcome::Ready);
    let kept = engine.containers().remove(0).id;
    let scaled = cluster((1..=3).map(|n| replica(n, 3)));
    up(&engine, &scaled).await.is(Outcome::Ready);
    assert_eq!(engine.containers().len(), 3);
    up(&engine, &cluster([replica(1, 1)])).await.is(Outcome::Ready);
    let left = engine.containers();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].id, kept);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_stopped_is_started_and_not_made_anew() {
    let engine = engine(1);
    let cluster = cluster([http("a"), http("b")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let id = find(&engine, "a").id;
    engine.crash("a", 1);
    up(&engine, &cluster).await.is(Outcome::Ready);
    assert_eq!(find(&engine, "a").id, id);
    assert_eq!(calls(&engine, Op::Start, "b").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_is_half_down_comes_back() {
    let engine = engine(1)
        .behave("a", Behaviour::default().needs(["b"]).gives_up(ms(100), 3))
        .behave("b", Behaviour::ready_after(ms(500)).needs(["a"]));
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"])]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    engine.crash("a", 1);
    engine.crash("b", 1);
    up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(engine.violations().is_empty());
}

/// Each of its runs is ready for a while, and nobody can tell the first one from a good one; later ones can be told.
#[tokio::test(start_paused = true)]
async fn one_in_a_crash_loop_is_not_called_ready_by_a_reattach() {
    for component in [plain("a"), http("a"), checked("a")] {
        let mut looping = component;
        looping.spec.restart = RestartPolicy::Always;
        let engine = engine(1).behave("a", Behaviour::ready_after(ms(10)).exiting(ms(2500), 1));
        let cluster = cluster([looping]);
        up(&engine, &cluster).await.is(Outcome::Ready);
        tokio::time::sleep(secs(6)).await;
        for _ in 0..4 {
            let options = Options { timeout: Some(secs(8)), ..Default::default() };
            let ran = up_with(&engine, &cluster, options).await.is(Outcome::DeadlinePassed);
            assert!(ran.failures()[0].what.contains("restarted"), "{}", ran.story());
            tokio::time::sleep(ms(777)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_crashed_long_ago_is_believed_at_once() {
    let mut retried = http("a");
    retried.spec.restart = RestartPolicy::Always;
    let engine = engine(1).behave("a", Behaviour::ready_after(ms(10)).crashes_first(3, ms(50), 4));
    let cluster = cluster([retried]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    tokio::time::sleep(secs(11)).await;
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(ran.took < ms(200), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn probes_needs_and_gates_may_change_without_a_replacement() {
    let engine = engine(1);
    up(&engine, &cluster([http("a"), http("b")])).await.is(Outcome::Ready);
    let before = fingerprint(&engine);
    let other = cluster([checked("a"), gated(checked("b"), GateCondition::Ready, "a")]);
    up(&engine, &other).await.is(Outcome::Ready);
    assert_eq!(fingerprint(&engine), before);
}

#[tokio::test(start_paused = true)]
async fn the_old_container_does_not_stand_for_the_new_one_while_its_image_is_pulled() {
    let engine = engine(1).with_pullable("image:2", secs(5));
    let first = cluster([http("a"), gated(http("b"), GateCondition::Ready, "a")]);
    up(&engine, &first).await.is(Outcome::Ready);
    let mut second = changed(&first, "a");
    second.components.get_mut("a").unwrap().image = "image:2".into();
    let old = find(&engine, "a").id;
    let ran = up(&engine, &second).await.is(Outcome::Ready);
    assert!(ran.took > secs(5), "{}", ran.story());
    assert_ne!(find(&engine, "a").id, old);
}

#[tokio::test(start_paused = true)]
async fn one_component_can_be_started_while_what_it_waits_for_runs_already() {
    let engine = engine(1);
    let cluster = cluster([http("a"), gated(http("b"), GateCondition::Ready, "a")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    engine.crash("b", 1);
    let options = crate::drive::driver::Options { only: Some([name("b")].into()), ..Default::default() };
    let ran = up_with(&engine, &cluster, options).await.is(Outcome::Ready);
    assert!(ran.took < secs(1), "{}", ran.story());
    assert!(ran.phases("a").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_completed_and_an_early_exit_do_not_confuse_a_reattach() {
    let mut job = plain("job");
    job.completes = true;
    let engine = engine(1)
        .behave("job", Behaviour::exits(ms(60), 0))
        .behave("a", Behaviour::default().needs(["b"]).gives_up(ms(100), 3))
        .behave("b", Behaviour::ready_after(ms(900)));
    let parts = [
        member(http("a"), &["b"]),
        member(http("b"), &["a"]),
        gated(plain("last"), GateCondition::Completed, "job"),
        job,
    ];
    let cluster = cluster(parts);
    // Cut while `a` has exited early and waits for `b`.
    for cut in [200, 300, 400, 600, 800] {
        cut_short(&engine, &cluster, Default::default(), ms(cut)).await;
    }
    up(&engine, &cluster).await.is(Outcome::Ready);
    assert_eq!(calls(&engine, Op::Start, "job").len(), 1);
    let before = fingerprint(&engine);
    up(&engine, &cluster).await.is(Outcome::Ready);
    assert_eq!(before, fingerprint(&engine));
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_unless_they_are_to_go() {
    let engine = engine(1);
    up(&engine, &cluster([http("a"), http("old")])).await.is(Outcome::Ready);
    let without = cluster([http("a")]);
    let ran = up(&engine, &without).await.is(Outcome::Ready);
    assert!(ran.warnings()[0].contains("old") && ran.warnings()[0].contains("--remove-orphans"), "{}", ran.story());
    assert_eq!(engine.containers().len(), 2);
    let remove = Options { remove_orphans: true, ..Options::default() };
    let ran = up_with(&engine, &without, remove).await.is(Outcome::Ready);
    assert!(ran.warnings().is_empty(), "{}", ran.story());
    let left: Vec<_> = engine.containers().into_iter().map(|container| container.component).collect();
    assert_eq!(left, [name("a")]);
}

#[tokio::test(start_paused = true)]
async fn one_whose_network_was_pruned_while_it_rested_is_replaced_and_keeps_its_volume() {
    let mut keeper = http("a");
    keeper.spec.mounts.push(Mount::new("/data", MountKind::Anonymous, false));
    let (engine, cluster) = (engine(1), cluster([keeper, http("b")]));
    up(&engine, &cluster).await.is(Outcome::Ready);
    let volumes = engine.networks_and_volumes().1;
    let request = StopRequest { remove: false, volumes: false, ..down() };
    stop_all(&engine, &cluster, &request).await.is(Outcome::Ready);
    let observed = engine.observe(&cluster.name).await.unwrap();
    engine.remove_network(&observed.networks[0].id).await.unwrap();
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(ran.took < secs(3), "{:?}\n{}", ran.took, ran.story());
    assert_eq!(engine.containers().len(), 2, "{}", ran.story());
    assert_eq!(engine.networks_and_volumes().1, volumes, "{}", ran.story());
}
