//! Names, addresses, and connections to peers that aren't there yet.

use convoke::engine::Engine;

use crate::support::{TestCluster, http_get, http_services, with_engine};

/// A number in a line that the test image logs: `connected db:8080 in 1 ms, at 274 ms`.
#[track_caller]
fn milliseconds(line: &str, before: &str) -> u64 {
    let rest = line.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {line:?}")).1;
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[track_caller]
fn line<'a>(log: &'a str, part: &str) -> &'a str {
    log.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part:?} in:\n{log}"))
}

#[test]
fn a_peer_is_found_in_the_first_millisecond_and_connected_to_as_soon_as_it_listens() {
    let cluster = TestCluster::new(&http_services(&[
        ("eager", "command: [--connect, 'late:8080', --connect-retry, 50ms]"),
        ("late", "command: [--boot, 800ms]"),
    ]));
    cluster.ok(&["up"]);
    cluster.wait_until("the eager one is connected", |_| cluster.log("eager").contains("connected "));
    let log = cluster.ok(&["logs", "--timestamps", "eager", "late"]).all();
    let resolved = line(&log, "resolved late:8080 to ");
    let address = cluster.address("late", 8080);
    assert!(resolved.contains(&format!(" to {} in ", address.trim_end_matches(":8080"))), "{resolved}");
    // It asks in its first millisecond; on a busy machine the thread that does so waits for its turn.
    assert!(milliseconds(resolved, "asked at ") < 300, "{resolved}");
    assert!(milliseconds(resolved, " in ") < 100, "{resolved}");

    let time = |part: &str, component: &str| -> jiff::Timestamp {
        let of = |line: &&str| line.starts_with(component) && line.contains(part);
        let line = log.lines().find(of).unwrap_or_else(|| panic!("no {part:?} of {component} in:\n{log}"));
        line.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("no time in {line:?}"))
    };
    let late = time("connected late:8080", "eager").as_millisecond() - time("listening on", "late").as_millisecond();
    assert!(late < 500, "connected {late} ms after the peer listened:\n{log}");
}

#[test]
fn a_connection_to_a_peer_that_is_not_started_fails_fast() {
    let cluster = TestCluster::new(&http_services(&[
        ("client", "command: [--connect, 'gated:8080', --ready-after, 1500ms]"),
        ("gated", "depends_on: { client: { condition: service_healthy } }"),
    ]));
    cluster.ok(&["up"]);
    let log = cluster.log("client");
    let failed = line(&log, "failed gated:8080 in ");
    assert!(milliseconds(failed, " in ") < 300, "{failed}");

    // One that was talked to and then went away: its entry is doubted soon, and then it is like one that never was.
    let connect = || http_get(&cluster.address("client", 8080), "/connect?peer=gated:8080");
    let (status, answer) = connect();
    assert_eq!(status, 200, "{answer}");
    cluster.ok(&["stop", "gated"]);
    for limit in [3000, 300] {
        let (status, answer) = connect();
        assert_eq!(status, 502, "{answer}");
        assert!(milliseconds(&answer, " in ") < limit, "{answer}");
    }
}

#[test]
fn two_networks_keep_apart_who_does_not_share_one() {
    let services = http_services(&[
        ("front", "networks: [outer]"),
        ("middle", "networks: { outer: { aliases: [gateway] }, inner: {} }"),
        ("back", "networks: [inner]"),
    ]);
    let cluster = TestCluster::new(&(services + "networks: { outer: {}, inner: {} }\n"));
    cluster.ok(&["up"]);
    let ask = |from: &str, path: &str| http_get(&cluster.address(from, 8080), path);
    for (from, to) in [("front", "middle"), ("front", "gateway"), ("middle", "back"), ("back", "middle")] {
        let (status, answer) = ask(from, &format!("/connect?peer={to}:8080"));
        assert_eq!(status, 200, "{from} to {to}: {answer}");
    }
    let (status, answer) = ask("front", "/resolve?name=back");
    assert_eq!(status, 502, "they share no network: {answer}");
    assert_eq!(cluster.container("middle").networks.len(), 2);
}

#[test]
fn clusters_started_at_the_same_time_get_subnets_of_their_own() {
    let compose = "services: { web: { image: 'convoke-test/probe-target:latest', x-convoke: { ready: { tcp: { port: 8080 } } } } }";
    let clusters: Vec<_> = (0..4).map(|_| TestCluster::new(compose)).collect();
    let runs: Vec<_> = clusters.iter().map(|cluster| cluster.begin(&["up"])).collect();
    for run in runs {
        run.end().exits(0);
    }
    let mut subnets: Vec<_> = clusters.iter().map(|c| c.observe().networks[0].subnet.unwrap().to_string()).collect();
    subnets.sort();
    subnets.dedup();
    assert_eq!(subnets.len(), 4, "{subnets:?}");
    assert!(subnets.iter().all(|subnet| subnet.starts_with("10.231.") && subnet.ends_with("/24")), "{subnets:?}");
}

#[test]
fn a_name_owned_by_several_is_left_to_dns() {
    let cluster = TestCluster::new(&http_services(&[("web", "scale: 2"), ("client", "")]));
    cluster.ok(&["up"]);
    let entries: Vec<_> = cluster.container("client").extra_hosts.into_iter().map(|(name, _)| name).collect();
    assert!(entries.contains(&"web-1".to_owned()) && !entries.contains(&"web".to_owned()), "{entries:?}");
    let (status, answer) = http_get(&cluster.address("client", 8080), "/resolve?name=web");
    let both = ["web-1", "web-2"].map(|one| cluster.address(one, 0).replace(":0", ""));
    assert!(status == 200 && both.iter().any(|address| answer.starts_with(address)), "{answer}, not of {both:?}");
}

#[test]
fn one_that_was_taken_off_its_network_while_it_was_stopped_gets_its_address_back() {
    let cluster = TestCluster::new(&http_services(&[("web", ""), ("db", "")]));
    cluster.ok(&["up"]);
    let before = cluster.container("db");
    let fixed = |at: &convoke::engine::ObservedContainer| at.networks.values().next().and_then(|at| at.fixed_address);
    cluster.ok(&["stop", "db"]);
    let network = before.networks.values().next().unwrap().network_id.clone();
    with_engine(async |engine| engine.disconnect(&network, &before.name).await.unwrap());
    assert_eq!(cluster.container("db").networks.len(), 0);
    // The engine couldn't start it so.
    cluster.ok(&["start", "db"]);
    let after = cluster.container("db");
    assert_eq!((&after.id, fixed(&after)), (&before.id, fixed(&before)));
    assert!(fixed(&after).is_some());
}
