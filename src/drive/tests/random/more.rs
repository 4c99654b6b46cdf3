//! What the second edition of the scenarios adds: others at the same engine and at the same cluster, deaths between any
//! two steps, answers that aren't true, components that hang and flap, volumes, replicas, strangers with similar names.
//!
//! Drawn from dice of their own, so that the first edition's scenarios stay what they were.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::scenario::{Company, Scenario};
use crate::cluster::{Component, Mount, MountKind, ProbeAction, Volume};
use crate::drive::tests::harness::*;
use crate::engine::fake::{Behaviour, Faults, Meddling};
use crate::engine::{ErrorKind, labels};
use crate::names::ComponentName;

type Behaviours = BTreeMap<ComponentName, Behaviour>;

pub(super) fn draw(dice: &mut Dice, scene: &mut Scenario, behaviours: &mut Behaviours, faults: &mut Faults) {
    strangers(scene);
    answers(dice, scene, faults);
    if dice.percent(30) {
        volumes(dice, scene);
    }
    if dice.percent(25) {
        replicas(dice, scene, behaviours);
    }
    if dice.percent(25) {
        sick(dice, scene, behaviours);
    }
    if dice.percent(45) {
        scene.deaths = (0..dice.from(1, 4)).map(|_| dice.between_small(1, 150)).collect();
    }
    if dice.percent(30) {
        meddling(dice, scene);
    }
    if dice.percent(25) {
        let who = dice.pick(&[Company::Up, Company::Up, Company::Down]);
        scene.company = Some((dice.ms(4000), who));
        scene.may_fail |= who == Company::Down;
    }
}

/// What the third edition adds: two that begin at nearly the same time, probe programs that come late, frozen components.
pub(super) fn draw_third(dice: &mut Dice, scene: &mut Scenario, behaviours: &mut Behaviours) {
    if let Some((after, Company::Up)) = &mut scene.company
        && dice.percent(40)
    {
        *after = dice.ms(30);
    }
    let serves = |component: &&Component| !component.completes && !scene.doomed.contains(component.name.as_str());
    let names: Vec<ComponentName> =
        scene.cluster.components.values().filter(serves).map(|component| component.name.clone()).collect();
    if names.is_empty() {
        return;
    }
    if dice.percent(15)
        && let Some(behaviour) = behaviours.get_mut(&dice.pick(&names))
    {
        behaviour.probe_program_after = Some(ms(500) + dice.ms(6000));
    }
    if dice.percent(15) {
        let name = dice.pick(&names);
        scene.meddling.push((dice.ms(3000), name.clone(), Meddling::Pause));
        scene.meddling.push((dice.ms(3000), name, Meddling::Unpause));
        scene.may_fail = true;
    }
}

/// What the fourth edition adds: somebody takes containers off their networks.
pub(super) fn draw_fourth(dice: &mut Dice, scene: &mut Scenario) {
    let names: Vec<ComponentName> = scene.cluster.components.keys().cloned().collect();
    if dice.percent(25) {
        scene.meddling.extend((0..dice.from(1, 3)).map(|_| (dice.ms(4000), dice.pick(&names), Meddling::CutOff)));
        scene.may_fail = true;
    }
}

/// Names that differ from ours in little, and labels that are nearly ours.
fn strangers(scene: &mut Scenario) {
    let engine = scene.engine.clone();
    scene.engine = engine
        .with_foreign("test-c0-10", Some("test"), &[])
        .with_foreign("test-c", Some("test"), &[])
        .with_foreign("xtest-c0-1", None, &[])
        .with_foreign_network("test_default_2", &[])
        .with_foreign_network("test", &[(labels::COMPOSE_PROJECT, "test")])
        .with_foreign_network("test2_default", &[(labels::CLUSTER, "test2")])
        .with_foreign_volume("test_data2")
        .with_foreign_volume("test");
}

fn answers(dice: &mut Dice, scene: &mut Scenario, faults: &mut Faults) {
    if dice.percent(35) {
        faults.kinds.push(ErrorKind::NotFound);
        // A pull that finds nothing has failed, and with it the run.
        scene.may_fail |= faults.call_failure > 0.0 || faults.lost_reply > 0.0;
    }
    if dice.percent(60) {
        faults.lost_request = 0.5;
    }
    faults.live_restore = dice.percent(30);
}

fn volumes(dice: &mut Dice, scene: &mut Scenario) {
    let volume = |key: &str| Volume {
        key: key.parse().unwrap(),
        engine_name: format!("test_{key}"),
        external: false,
        driver: None,
        driver_opts: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    let keys = if dice.percent(50) { &["data"][..] } else { &["data", "logs"] };
    scene.cluster.volumes = keys.iter().map(|key| (key.parse().unwrap(), volume(key))).collect();
    for component in scene.cluster.components.values_mut() {
        if dice.percent(40) {
            let kind = MountKind::Volume { key: dice.pick(keys).parse().unwrap(), nocopy: false };
            component.spec.mounts.push(Mount::new("/data", kind, false));
        }
    }
}

/// A second replica, or a whole service, that is taken out of the file later.
fn replicas(dice: &mut Dice, scene: &mut Scenario, behaviours: &mut Behaviours) {
    scene.options.remove_orphans = dice.percent(50);
    let base = dice.pick(&scene.cluster.components.values().cloned().collect::<Vec<Component>>());
    let is_replica = dice.percent(60);
    let own = if is_replica { format!("{}-2", base.name) } else { "gone".into() };
    let mut extra = Component { name: name(&own), needs: Default::default(), gates: vec![], ..base.clone() };
    if is_replica {
        extra.number = 2;
        extra.container_name = format!("test-{}-2", base.service);
    } else {
        extra.service = "gone".parse().unwrap();
        extra.container_name = "test-gone-1".into();
    }
    let behaviour = behaviours.get(&base.name).cloned().unwrap_or_default();
    // It may be one that is never ready; then its twin isn't either.
    if scene.doomed.contains(base.name.as_str()) {
        scene.doomed.insert(own);
    }
    behaviours.insert(extra.name.clone(), behaviour);
    scene.replicas.push(extra.name.clone());
    scene.cluster.components.insert(extra.name.clone(), extra);
}

/// One that answers nothing until faults are over, or one that is ready by turns for ever.
fn sick(dice: &mut Dice, scene: &mut Scenario, behaviours: &mut Behaviours) {
    let of = scene.cluster.components.values().filter(|c| !c.completes && !scene.doomed.contains(c.name.as_str()));
    let names: Vec<ComponentName> = of.map(|component| component.name.clone()).collect();
    if names.is_empty() {
        return;
    }
    let name = dice.pick(&names);
    let Some(behaviour) = behaviours.get_mut(&name) else { return };
    let component = &scene.cluster.components[&name];
    let by_exec = component.probes.health.is_some()
        || component.probes.ready.as_ref().is_some_and(|probe| matches!(probe.action, ProbeAction::Exec { .. }));
    if dice.percent(50) {
        scene.recovering.push((name, behaviour.clone()));
        // A command that never ends is waited for as long: no second one is run beside it.
        if by_exec {
            behaviour.exec_takes = secs(6);
        } else {
            behaviour.hangs_probes = true;
        }
    } else {
        behaviour.flaps = Some((secs(3) + dice.ms(4000), ms(100) + dice.ms(2000)));
        scene.flapping.insert(name);
    }
}

fn meddling(dice: &mut Dice, scene: &mut Scenario) {
    let names: Vec<ComponentName> = scene.cluster.components.keys().cloned().collect();
    let all = [Meddling::Stop, Meddling::Kill, Meddling::Remove, Meddling::Restart];
    let draw = |dice: &mut Dice| (dice.ms(6000), dice.pick(&names), dice.pick(&all));
    scene.meddling = (0..dice.from(1, 4)).map(|_| draw(dice)).collect();
    scene.may_fail = true;
}
