//! One or two components go wrong at a restart of everything: the cluster becomes ready all the same, and while it
//! doesn't, what is said of those that wait leads to those that went wrong.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use convoke::event::Phase;

use super::plane::{CONTROLLER, DATABASE, Fault, Plane};
use super::story::{Said, Story, blamed};

/// What lasts shorter needs no explanation: it may be a probe that comes in a moment.
const LASTING: Duration = Duration::from_secs(1);
/// Who has been coming up for shorter than this on a busy machine may still be.
const COMING_UP: Duration = Duration::from_secs(2);
/// When what is said is looked at: the shortest fault lasts 3 s.
const LOOK_AFTER: Duration = Duration::from_millis(1500);
/// Pairs of faults in each run of all tests.
const SOME: usize = 2;

#[test]
#[ignore = "a minute for each component: make test-faults"]
fn faults_of_the_broker() {
    each_fault_of("storage-broker");
}

#[test]
#[ignore = "a minute for each component: make test-faults"]
fn faults_of_the_database() {
    each_fault_of(DATABASE);
}

#[test]
#[ignore = "a minute for each component: make test-faults"]
fn faults_of_the_controller() {
    each_fault_of(CONTROLLER);
}

#[test]
#[ignore = "a minute for each component: make test-faults"]
fn faults_of_pageserver_1() {
    each_fault_of("pageserver-1");
}

#[test]
#[ignore = "a minute for each component: make test-faults"]
fn faults_of_pageserver_2() {
    each_fault_of("pageserver-2");
}

#[test]
#[ignore = "a minute for each component: make test-faults"]
fn faults_of_safekeeper_1() {
    each_fault_of("safekeeper-1");
}

#[test]
#[ignore = "a minute for each component: make test-faults"]
fn faults_of_safekeeper_2() {
    each_fault_of("safekeeper-2");
}

#[test]
#[ignore = "a minute for each component: make test-faults"]
fn faults_of_safekeeper_3() {
    each_fault_of("safekeeper-3");
}

fn each_fault_of(component: &str) {
    let mut plane = populated();
    for fault in Fault::ALL {
        restart_with(&mut plane, &[(component, fault)]);
    }
}

/// A few pairs, others with each seed; the one below has all.
#[test]
fn faults_of_some_two_components() {
    let seed = std::env::var("CONVOKE_SEED").map_or(1, |seed| seed.parse::<u64>().unwrap());
    let mut plane = populated();
    let mut pairs = pairs(plane.components());
    pairs.sort_by_key(|[one, other]| dice(seed, &format!("{one:?} {other:?}")));
    for [one, other] in &pairs[..SOME] {
        restart_with(&mut plane, &[(&one.0, one.1), (&other.0, other.1)]);
    }
}

fn dice(seed: u64, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, text).hash(&mut hasher);
    hasher.finish()
}

/// All pairs, or with `CONVOKE_FAULTS_PART=2/6` the second of six parts.
#[test]
#[ignore = "takes twenty minutes: make test-faults"]
fn faults_of_every_two_components() {
    let begun = Instant::now();
    let pairs = Mutex::new(part(pairs(Plane::new(2, 3).components())));
    let total = pairs.lock().unwrap().len();
    let took = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut plane = populated();
                loop {
                    let Some([one, other]) = pairs.lock().unwrap().pop() else { return };
                    let ready = restart_with(&mut plane, &[(&one.0, one.1), (&other.0, other.1)]);
                    took.lock().unwrap().push((ready, one, other));
                }
            });
        }
    });
    let mut took = took.into_inner().unwrap();
    took.sort_by_key(|(ready, ..)| *ready);
    assert_eq!(took.len(), total);
    let (fastest, slowest) = (&took[0], &took[total - 1]);
    // For people: nextest shows it with --no-capture.
    eprintln!("{total} pairs in {:?}; restarts took {:?} to {slowest:?}", begun.elapsed(), fastest.0);
}

type Pair = [(String, Fault); 2];

fn part(pairs: Vec<Pair>) -> Vec<Pair> {
    let Ok(wanted) = std::env::var("CONVOKE_FAULTS_PART") else { return pairs };
    let (number, of) = wanted.split_once('/').expect("CONVOKE_FAULTS_PART is like 2/6");
    let (number, of): (usize, usize) = (number.parse().unwrap(), of.parse().unwrap());
    assert!((1..=of).contains(&number), "CONVOKE_FAULTS_PART={wanted}");
    pairs.into_iter().skip(number - 1).step_by(of).collect()
}

/// Every pair of faults of two different components.
fn pairs(components: &[String]) -> Vec<Pair> {
    let single: Vec<(String, Fault)> =
        components.iter().flat_map(|component| Fault::ALL.map(|fault| (component.clone(), fault))).collect();
    let mut pairs = Vec::new();
    for (n, one) in single.iter().enumerate() {
        pairs.extend(single[n..].iter().filter(|other| other.0 != one.0).map(|other| [one.clone(), other.clone()]));
    }
    pairs
}

fn populated() -> Plane {
    let plane = Plane::new(2, 3);
    plane.up().exits(0);
    plane.populate();
    plane
}

/// Restarts everything with these faults, and checks the outcome and what was said. How long it took.
fn restart_with(plane: &mut Plane, faults: &[(&str, Fault)]) -> Duration {
    for (component, fault) in faults {
        plane.fault(component, *fault);
    }
    let restart = plane.restart();
    assert_eq!(restart.code, 0, "{faults:?}\n{restart}");
    let story = Story::of(&restart);
    for (component, fault) in faults {
        explained(&story, component, *fault, faults);
        plane.heal(component);
    }
    restart.took
}

/// The fault is told by its component, and everybody who has waited long for a peer waits for one that has a fault.
/// (The controller may go on alone for seconds: a packet to a pageserver that crashed is sent again after 1, 3, 7 s.)
fn explained(story: &Story, component: &str, fault: Fault, faults: &[(&str, Fault)]) {
    if fault == Fault::Crash {
        // The engine restarts it after 100 ms: on a busy machine that can be before anybody looked.
        let told = story.exits(component) == [1] || story.ended_unseen(component);
        assert!(told, "{faults:?}\n{story:?}");
        // It may be back and ready by then; where the stall lasts, it is led to those at fault.
        return led_to_the_fault(story, story.last(component, Phase::Restarting) + LOOK_AFTER, faults);
    }
    // A controller that is to hang waits for its database first: so from when the fault is seen.
    let seen = story.said_first(component, |why| fits(why, fault));
    let moment = seen.unwrap_or_else(|| panic!("{faults:?}: {component}'s isn't told\n{story:?}")) + LOOK_AFTER;
    // Apart from how long it lasts: somebody who needs it was said to wait for it.
    assert!(needed_by(component).is_none_or(|by| story.waited_for(by, component)), "{faults:?}\n{story:?}");
    assert!(story.said_at(moment).contains_key(component), "{faults:?}: {component} was ready too early\n{story:?}");
    led_to_the_fault(story, moment, faults);
}

/// Everybody who has waited for a peer for long at this moment waits, directly or through others, for one with a fault.
fn led_to_the_fault(story: &Story, moment: Duration, faults: &[(&str, Fault)]) {
    let said = story.said_at(moment);
    for waiting in lasting(&said, moment) {
        let at_fault = |name: &str| faults.iter().any(|(component, _)| *component == name);
        let moves = |name: &str| said.get(name).is_some_and(|said| moment.saturating_sub(said.since) <= COMING_UP);
        // All that it needs is there, and it hasn't heard of it: see above.
        let goes_on_alone = |name: &str| name == CONTROLLER && said.get(name).is_some_and(|said| said.on.is_empty());
        let explains = |name: &str| at_fault(name) || moves(name) || goes_on_alone(name);
        let right = at_fault(waiting) || blamed(&said, waiting).iter().any(|peer| explains(peer));
        assert!(right, "{faults:?}: {waiting} isn't led to the fault: {said:#?}\n{story:?}");
    }
}

/// One that isn't ready without the component.
fn needed_by(component: &str) -> Option<&'static str> {
    match component {
        DATABASE | "pageserver-1" | "pageserver-2" => Some(CONTROLLER),
        CONTROLLER => Some("pageserver-1"),
        _ => None,
    }
}

/// Whether what is said of a component is what its fault looks like from outside.
fn fits(why: &str, fault: Fault) -> bool {
    let texts: &[&str] = match fault {
        Fault::Delay => &["refused", "no connection"],
        // Exit 2 is pg_isready's word for it.
        Fault::Hang => &["no answer", "exit 2"],
        Fault::Crash => &["exited 1"],
    };
    texts.iter().any(|text| why.contains(text))
}

fn lasting(said: &BTreeMap<String, Said>, moment: Duration) -> impl Iterator<Item = &String> {
    let lasts = move |said: &Said| !said.on.is_empty() && moment.saturating_sub(said.since) > LASTING;
    said.iter().filter(move |(_, said)| lasts(said)).map(|(name, _)| name)
}
