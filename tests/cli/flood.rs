//! A day's worth of events under supervision: none of the losses among them is missed, and memory stays flat.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use convoke::engine::{Engine, Status};
use serde_json::json;

use crate::support::{Api, Running, TestCluster, http_services, with_engine};

const COMPONENTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Events, unless `CONVOKE_EVENTS` says how many.
const FEW: usize = 500;
/// With more events there are more losses, one for so many of them.
const EVENTS_PER_LOSS: usize = 4000;
/// What a program's memory may differ by for no reason of its own, in kB.
const NOISE: usize = 2048;

/// `make soak PARTS=events` has 100,000.
#[test]
fn many_events_cost_no_memory_and_hide_no_loss() {
    let wanted = std::env::var("CONVOKE_EVENTS").map_or(FEW, |number| number.parse().unwrap());
    let losses = COMPONENTS.len().max(wanted / EVENTS_PER_LOSS);
    let cluster = TestCluster::new(&http_services(&COMPONENTS.map(|name| (name, ""))));
    let mut run = cluster.begin(&["--format", "json", "supervise"]);
    run.wait_for("\"event\":\"cluster_ready\"");
    let lookalikes = [0, 1].map(|number| Lookalike::new(&cluster, number));
    let (sent, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut memory = Vec::new();
    std::thread::scope(|scope| {
        // Ended by a panic of the test as well.
        let _end = Raise(&enough);
        let (sent, enough) = (&sent, &enough);
        for component in COMPONENTS {
            let name = format!("{}-{component}-1", cluster.name);
            scope.spawn(move || signals(&name, sent, enough));
        }
        for lookalike in &lookalikes {
            scope.spawn(move || names(lookalike, sent, enough));
        }
        for loss in 0..losses {
            while sent.load(Ordering::Relaxed) < wanted * (loss + 1) / losses {
                assert!(run.is_running(), "{}", run.so_far());
                std::thread::sleep(Duration::from_millis(10));
            }
            lose(&cluster, COMPONENTS[loss % COMPONENTS.len()], loss % 2 == 1);
            memory.push(resident(&run));
        }
    });
    // For people: nextest shows it with --no-capture.
    let sent = sent.load(Ordering::Relaxed);
    eprintln!("{sent} events, {losses} losses; memory in kB: {memory:?}");
    // The first few go to what is made once.
    let (early, late) = memory[1..].split_at(memory.len() / 2);
    let most = |part: &[usize]| part.iter().max().copied().unwrap_or_default();
    assert!(most(late) <= most(early) + NOISE, "{memory:?}");
    run.signal("INT");
    run.end().exits(0);
}

/// Sets it when dropped.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends it harmless signals, each of which the engine tells as an event. One that is lost at the moment gets none.
fn signals(container: &str, sent: &AtomicUsize, enough: &AtomicBool) {
    let api = Api::new();
    while !enough.load(Ordering::Relaxed) {
        if api.send("POST", &format!("/containers/{container}/kill?signal=WINCH"), "").0 == 204 {
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A container that somebody made from an image that was committed from a component: its events come with ours, and it
/// is none of our business. The engine renames one that doesn't run ten times as fast as it sends signals.
struct Lookalike {
    api: Api,
    name: String,
}

impl Lookalike {
    fn new(cluster: &TestCluster, number: usize) -> Self {
        let (api, name) = (Api::new(), format!("{}-lookalike-{number}", cluster.name));
        let component = COMPONENTS[number];
        let labels = json!({
            "convoke.cluster": cluster.name,
            "convoke.component": component,
            "convoke.container": format!("{}-{component}-1", cluster.name),
        });
        let body = json!({ "Image": "convoke-test/probe-target:latest", "Labels": labels });
        let (status, answer) = api.send("POST", &format!("/containers/create?name={name}"), &body.to_string());
        assert_eq!(status, 201, "{answer}");
        Self { api, name }
    }
}

impl Drop for Lookalike {
    fn drop(&mut self) {
        for name in [self.name.clone(), other_name(&self.name)] {
            self.api.send("DELETE", &format!("/containers/{name}?force=1"), "");
        }
    }
}

fn other_name(name: &str) -> String {
    format!("{name}-renamed")
}

/// Renames it there and back.
fn names(lookalike: &Lookalike, sent: &AtomicUsize, enough: &AtomicBool) {
    let other = other_name(&lookalike.name);
    while !enough.load(Ordering::Relaxed) {
        for (from, to) in [(&lookalike.name, &other), (&other, &lookalike.name)] {
            let (status, answer) = lookalike.api.send("POST", &format!("/containers/{from}/rename?name={to}"), "");
            assert_eq!(status, 204, "{answer}");
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Kills or removes one, and waits until it is back.
fn lose(cluster: &TestCluster, component: &str, remove: bool) {
    let before = cluster.container(component);
    with_engine(async |engine| {
        if remove {
            engine.remove(&before.id, true).await.unwrap();
        } else {
            engine.kill(&before.id, "SIGKILL").await.unwrap();
        }
    });
    cluster.wait_until("it is back", |seen| {
        seen.containers.iter().any(|now| {
            now.component == before.component
                && now.state.status == Status::Running
                && now.state.started_at != before.state.started_at
        })
    });
}

/// The program's resident memory in kB.
fn resident(run: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
