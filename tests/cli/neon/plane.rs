//! A storage plane whose programs can be told to go wrong.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Ran, TestCluster, http_get, http_post};

/// A tenant and its timeline, as identifiers of Neon's.
const TENANT: &str = "000102030405060708090a0b0c0d0e0f";
/// Within this time a pageserver that has re-attached gets its first heartbeat.
const PATIENCE: Duration = Duration::from_secs(20);

/// The database has no faults of its own: a script in front of it has them.
const DATABASE_SCRIPT: &str = r"#!/bin/sh
fault=$(cat /fault/fault)
case $fault in
  start-delay=*) sleep 3 ;;
  hang=*) timeout 5 perl -MIO::Socket::INET -e \
    'my $socket = IO::Socket::INET->new(LocalPort => 5432, Listen => 64, ReuseAddr => 1) or die $!; sleep 60' ;;
  crash-on-start=*) if [ ! -e /fault/crashed ]; then touch /fault/crashed; echo $fault >&2; exit 1; fi ;;
esac
exec entrypoint.sh postgres
";

/// What may go wrong at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does nothing for 3 s.
    Delay,
    /// It exits with 1 and is started again by the engine.
    Crash,
    /// It binds its ports and answers nothing for 5 s.
    Hang,
}

impl Fault {
    pub(super) const ALL: [Self; 3] = [Self::Delay, Self::Crash, Self::Hang];
}

/// A storage plane of `neon-sim`.
pub(super) struct Plane {
    pub(super) cluster: TestCluster,
    components: Vec<String>,
    safekeepers: u32,
    /// How often each was told to crash: the program counts its starts.
    crashes: BTreeMap<String, u32>,
}

impl Plane {
    /// Its files, with nothing started yet.
    pub(super) fn new(pageservers: u32, safekeepers: u32) -> Self {
        let cluster = TestCluster::without_file();
        let (set_pageservers, set_safekeepers) =
            (format!("pageservers={pageservers}"), format!("safekeepers={safekeepers}"));
        // Without computes: what is tested here is the storage.
        let sets = ["images=sim", "endpoints=", &set_pageservers, &set_safekeepers];
        let mut args = vec!["render", "neon"];
        args.extend(sets.iter().flat_map(|set| ["--set", set]));
        let text = cluster.ok(&args).out;
        cluster.write("compose.yaml", &text);
        let mut components = vec!["storage-broker".to_owned(), DATABASE.to_owned(), CONTROLLER.to_owned()];
        components.extend((1..=pageservers).map(|n| format!("pageserver-{n}")));
        components.extend((1..=safekeepers).map(|n| format!("safekeeper-{n}")));
        let mut this = Self { cluster, components, safekeepers, crashes: BTreeMap::new() };
        this.cluster.write("faults.yaml", &this.with_faults());
        for component in this.components.clone() {
            this.prepare(&component);
        }
        this
    }

    pub(super) fn components(&self) -> &[String] {
        &self.components
    }

    /// Each component reads its faults from a folder of its own, which also keeps the count of starts.
    fn with_faults(&self) -> String {
        let mut text = "services:\n".to_owned();
        for component in &self.components {
            let how = if component == DATABASE {
                "entrypoint: [/fault/start.sh]"
            } else {
                "environment: { NEON_SIM_FAULT_FILE: /fault/fault }\n    working_dir: /fault"
            };
            writeln!(text, "  {component}:\n    {how}\n    volumes: ['./faults/{component}:/fault']").unwrap();
        }
        text
    }

    fn prepare(&mut self, component: &str) {
        self.heal(component);
        if component == DATABASE {
            let script = self.cluster.write(&format!("faults/{DATABASE}/start.sh"), DATABASE_SCRIPT);
            fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // The programs' users aren't ours.
        let folder = self.cluster.path().join("faults").join(component);
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }

    /// From its next start on, a component has this fault.
    pub(super) fn fault(&mut self, component: &str, fault: Fault) {
        let text = match fault {
            Fault::Delay => "start-delay=3s".to_owned(),
            Fault::Hang => "hang=5s".to_owned(),
            Fault::Crash => {
                let before = self.crashes.entry(component.to_owned()).or_default();
                *before += 1;
                // Each crash before was one start, and the one after it another.
                format!("crash-on-start={}", *before * 2 - 1)
            }
        };
        self.write_fault(component, &text);
    }

    /// Any fault of `neon-sim`, as it writes them.
    pub(super) fn write_fault(&self, component: &str, text: &str) {
        self.cluster.write(&format!("faults/{component}/fault"), text);
        _ = fs::remove_file(self.cluster.path().join(format!("faults/{component}/crashed")));
    }

    /// From its next start on, a component has no fault.
    pub(super) fn heal(&self, component: &str) {
        self.write_fault(component, "");
    }

    /// `convoke up`, with events as the result.
    pub(super) fn up(&self) -> Ran {
        self.cluster.run(&["--format", "json", "-f", "compose.yaml", "-f", "faults.yaml", "up"])
    }

    /// `convoke restart` of everything, with events as the result.
    pub(super) fn restart(&self) -> Ran {
        self.cluster.run(&["--format", "json", "restart"])
    }

    /// `address:port` of the controller.
    pub(super) fn controller(&self) -> String {
        self.cluster.ok(&["port", CONTROLLER, "1234"]).out.trim().to_owned()
    }

    /// Registers the safekeepers and makes a tenant with a timeline.
    pub(super) fn populate(&self) {
        let controller = self.controller();
        for n in 1..=self.safekeepers {
            let body = format!(
                r#"{{"id": {n}, "region_id": "local", "version": 1, "host": "safekeeper-{n}", "port": 5454,
                "http_port": 7676, "https_port": null, "availability_zone_id": "zone-{n}"}}"#
            );
            let path = format!("/control/v1/safekeeper/{n}");
            assert_eq!(http_post(&controller, &path, &body), (204, String::new()));
            let active = r#"{"scheduling_policy": "Active"}"#;
            assert_eq!(http_post(&controller, &format!("{path}/scheduling_policy"), active).0, 200);
        }
        self.wait_for_active(&controller);
        let (code, said) = http_post(&controller, "/v1/tenant", &format!(r#"{{"new_tenant_id": "{TENANT}"}}"#));
        assert_eq!(code, 201, "{said}");
        let timeline = format!(r#"{{"new_timeline_id": "{TENANT}", "pg_version": 17}}"#);
        let (code, said) = http_post(&controller, &format!("/v1/tenant/{TENANT}/timeline"), &timeline);
        assert_eq!(code, 201, "{said}");
    }

    /// Which pageserver has the tenant, as the controller says.
    pub(super) fn tenant_is_on(&self) -> String {
        let (code, said) = http_get(&self.controller(), &format!("/debug/v1/tenant/{TENANT}/locate"));
        assert_eq!(code, 200, "{said}");
        let answer: Value = serde_json::from_str(&said).unwrap();
        answer["shards"][0]["listen_http_addr"].as_str().unwrap().to_owned()
    }

    fn wait_for_active(&self, controller: &str) {
        let begun = Instant::now();
        loop {
            let (_, said) = http_get(controller, "/control/v1/node");
            let nodes: Value = serde_json::from_str(&said).unwrap();
            if nodes.as_array().unwrap().iter().all(|node| node["availability"] == "Active") {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not all nodes are Active: {said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

pub(super) const CONTROLLER: &str = "storage-controller";
pub(super) const DATABASE: &str = "storage-controller-db";
