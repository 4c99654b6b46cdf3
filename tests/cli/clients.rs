//! Clients that look their peers up in other ways than a program of glibc in an ordinary image.
//!
//! The client is busybox, the static one: its `nc` reads the hosts file, its `nslookup` asks DNS only.

use crate::support::TestCluster;

/// A client that asks for a peer before anything else, and the peer, which is started five seconds later.
fn cluster(ask: &str) -> TestCluster {
    let text = r#"
services:
  job:
    image: convoke-test/probe-target:latest
    command: [--exit, "0", --after, 5s]
  late:
    image: convoke-test/probe-target:latest
    depends_on: { job: { condition: service_completed_successfully } }
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
  client:
    image: convoke-test/busybox:latest
    init: true
    command: [busybox, sh, -c, "ASK; echo asked once; until ASK; do busybox sleep 0.2; done; echo found; exec busybox sleep 1000"]
    x-convoke: { needs: [late], ready: { log: { contains: found } } }
"#;
    TestCluster::new(&text.replace("ASK", ask))
}

/// What the client was told before its peer ran, and all that it was told.
fn told(cluster: &TestCluster) -> (String, String) {
    let log = cluster.log("client");
    let (first, rest) = log.split_once("asked once").unwrap_or_else(|| panic!("it never asked:\n{log}"));
    (first.to_owned(), rest.to_owned())
}

#[test]
fn one_that_reads_the_hosts_file_has_the_address_before_its_peer_runs() {
    let cluster = cluster("busybox nc -w 3 late 8080 </dev/null 2>&1");
    cluster.ok(&["up"]);
    let address = cluster.address("late", 0).replace(":0", "");
    let (first, rest) = told(&cluster);
    // Its peer doesn't run yet: it has the address, and is told soon that nobody is there.
    assert!(first.contains(&format!("nc: can't connect to remote host ({address}): No route to host")), "{first}");
    assert!(!rest.contains("bad address"), "{rest}");
    assert!(cluster.container("client").state.started_at < cluster.container("late").state.started_at);
}

#[test]
fn one_that_asks_dns_only_is_ready_all_the_same_once_its_peer_runs() {
    let cluster = cluster("busybox nslookup -type=a late");
    cluster.ok(&["up"]);
    let address = cluster.address("late", 0).replace(":0", "");
    let (first, rest) = told(&cluster);
    assert!(!first.contains(&address), "DNS tells of what runs: {first}");
    // The latter from an engine that reaches no other server.
    assert!(first.contains("NXDOMAIN") || first.contains("SERVFAIL"), "{first}");
    assert!(rest.contains(&format!("Address: {address}")), "{rest}");

    // Again without its peer: what DNS says changes with it, what the hosts file says doesn't.
    cluster.ok(&["stop", "late"]);
    let asked = cluster.run(&["exec", "client", "busybox", "nslookup", "-type=a", "late"]);
    asked.exits(1).says_nothing_of(&[&address]);
    cluster.ok(&["exec", "client", "busybox", "grep", "late", "/etc/hosts"]).says(&[&address]);
}
