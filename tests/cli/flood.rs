//! A day's worth of events under supervision: none of the losses among them is missed, and memory stays flat.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use convoke::engine::{Engine, Status};

use crate::support::{Api, Running, TestCluster, http_services, with_engine};

const COMPONENTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Events, unless `CONVOKE_EVENTS` says how many.
const FEW: usize = 1000;
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
    let (sent, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut memory = Vec::new();
    std::thread::scope(|scope| {
        // Ended by a panic of the test as well.
        let _end = Raise(&enough);
        for offset in [0, COMPONENTS.len() / 2] {
            let half = &COMPONENTS[offset..][..COMPONENTS.len() / 2];
            let names = half.iter().map(|component| format!("{}-{component}-1", cluster.name)).collect();
            let (sent, enough) = (&sent, &enough);
            scope.spawn(move || flood(names, sent, enough));
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

/// Sends harmless signals, each of which the engine tells as an event, to these containers in turn.
fn flood(names: Vec<String>, sent: &AtomicUsize, enough: &AtomicBool) {
    let api = Api::new();
    for name in names.iter().cycle() {
        if enough.load(Ordering::Relaxed) {
            return;
        }
        // One that is lost at the moment gets none.
        if api.send("POST", &format!("/containers/{name}/kill?signal=WINCH"), "").0 == 204 {
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
