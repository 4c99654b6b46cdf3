//! Tokens between all components (`auth=true`): everybody has the one that it needs, and no other one will do.

use super::imports;
use super::whole::{MAIN, Neon, connstring};
use crate::support::{TestCluster, http_get, http_get_with};

/// What every token begins with: the algorithm, in base64.
const BEGIN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.";

/// The answer of a component to whoever has this token; `None`: to nobody in particular.
fn asked(neon: &Neon, component: &str, port: u16, path: &str, token: Option<&str>) -> u16 {
    let address = neon.cluster.address(component, port);
    match token {
        Some(token) => http_get_with(&address, path, &format!("Authorization: Bearer {token}")).0,
        None => http_get(&address, path).0,
    }
}

fn token(neon: &Neon, scope: &str) -> String {
    neon.cluster.ok(&["neon", "jwt", scope]).out.trim().to_owned()
}

#[test]
fn with_auth_everybody_has_its_token_and_no_other_will_do() {
    let (neon, up) = Neon::up(&["auth=true", "safekeepers=4"]);
    let c = &neon.cluster;
    up.says(&["psql postgresql://neon:neon@"]);
    assert_eq!(neon.inside(MAIN, "select 1").exits(0).out.trim(), "1");
    let starts = c.json(&["report"])["starts"].clone();
    assert_eq!(starts["waited"], serde_json::json!([]), "{starts}");
    // The pages move: controller, pageservers, hook and compute ask each other.
    let other = 3 - neon.pageserver();
    c.ok(&["neon", "shard", "migrate", "--node", &other.to_string()]);
    assert_eq!(neon.shows(MAIN, "neon.pageserver_connstring"), connstring(other));
    // One that is made later has its tokens too.
    c.ok(&["neon", "timeline", "branch", "--branch-name", "dev"]);
    c.ok(&["neon", "endpoint", "create", "dev"]);
    assert_eq!(neon.inside("endpoint-dev", "select 1").exits(0).out.trim(), "1");
    assert!(c.log("pageserver-1").contains("Loaded JWT token for authentication with Safekeeper"));

    // Safekeepers take a timeline from each other.
    c.run(&["neon", "timeline", "safekeepers", "main", "--to", "1,9"]).exits(2).says(&["there is no safekeeper 9"]);
    for _ in 0..2 {
        c.ok(&["neon", "timeline", "safekeepers", "main", "--to", "1,2,4"]);
        let shown = neon.shows(MAIN, "neon.safekeepers");
        assert!(
            shown.starts_with("g#3:") && shown.contains("safekeeper-4") && !shown.contains("safekeeper-3"),
            "{shown}"
        );
    }

    imports::a_backup_becomes_a_branch(&neon);
    scopes_are_told_apart(&neon);
    nothing_of_a_token_shows(&neon, &up.all());

    // Tokens are made once: nobody notices a restart of all.
    c.ok(&["restart"]);
    neon.wait_for("served again", |neon| neon.inside(MAIN, "select 1").out.trim() == "1");

    // A pageserver is given up: what it has goes to the other one, and its number isn't used again.
    let given_up = neon.pageserver();
    for _ in 0..2 {
        let deleted = c.ok(&["neon", "node", "delete", &given_up.to_string()]).out;
        assert!(deleted.contains(&format!("pageserver {given_up} is forgotten")), "{deleted}");
    }
    assert_eq!(neon.pageserver(), 3 - given_up);
    neon.wait_for("told of it", |neon| neon.shows(MAIN, "neon.pageserver_connstring") == connstring(3 - given_up));
    c.run(&["neon", "node", "delete", &(3 - given_up).to_string()]).exits(2).says(&["No other schedulable nodes"]);
}

fn scopes_are_told_apart(neon: &Neon) {
    let rows = [
        ("storage-controller", 1234, "/control/v1/node", "infra", "pageserverapi"),
        ("storage-controller", 1234, "/control/v1/tenant", "admin", "infra"),
        ("storage-controller", 1234, "/debug/v1/tenant/x/locate", "admin", "generations_api"),
        ("pageserver-1", 9898, "/v1/tenant", "pageserverapi", "admin"),
        ("safekeeper-1", 7676, "/v1/utilization", "safekeeperdata", "pageserverapi"),
    ];
    for (component, port, path, right, wrong) in rows {
        let answer = |token: Option<&str>| asked(neon, component, port, path, token);
        let answers = (answer(None), answer(Some("x.y.z")), answer(Some(&token(neon, wrong))));
        assert_eq!(answers, (401, 401, 403), "{component} {path}");
        let with_right = answer(Some(&token(neon, right)));
        assert!(matches!(with_right, 200 | 400), "{component} {path} with {right}: {with_right}");
    }
    // Who only wants to know whether it is well needs none.
    for (component, port, path) in [
        ("storage-controller", 1234, "/ready"),
        ("pageserver-1", 9898, "/v1/status"),
        ("safekeeper-1", 7676, "/v1/status"),
    ] {
        assert_eq!(asked(neon, component, port, path, None), 200, "{component}");
    }
    let spec = "/compute/api/v2/computes/main/spec";
    let own = neon.cluster.ok(&["exec", "-T", MAIN, "cat", "/tokens/compute_spec"]).out;
    let hook = neon.cluster.ok(&["exec", "-T", "storage-controller", "cat", "/tokens/compute_hook"]).out;
    let answers = [None, Some(token(neon, "admin").as_str()), Some(hook.trim()), Some(own.trim())]
        .map(|token| asked(neon, "control-plane", 9095, spec, token));
    assert_eq!(answers, [401, 403, 403, 200]);
    assert_eq!(asked(neon, MAIN, 3080, "/status", Some(&token(neon, "admin"))), 403);

    // On the Postgres ports it is the password.
    let tenant = neon.cluster.json(&["neon", "status"])["control_plane"]["default_tenant"].clone();
    let query = format!("basebackup {} aaaa0000000000000000000000000001", tenant.as_str().expect("an id"));
    let session = |component: &str, port: u16, token: &str| {
        let target = format!("postgresql://no_user:{token}@{component}:{port}/x");
        neon.cluster.run(&["exec", "-T", MAIN, "psql", &target, "-c", &query]).all()
    };
    for (component, port, wrong) in [("pageserver-1", 6400, "safekeeperdata"), ("safekeeper-1", 5454, "pageserverapi")]
    {
        let said = session(component, port, &token(neon, wrong));
        assert!(said.contains("is not allowed here"), "{said}");
    }
    let said = session("safekeeper-1", 5454, &token(neon, "tenant"));
    assert!(said.contains("stores no WAL"), "{said}");
    let said = session("pageserver-1", 6400, &token(neon, "tenant"));
    assert!(said.contains("is not attached here") || said.contains("not found"), "{said}");
    let other = neon.cluster.ok(&["neon", "jwt", "tenant", "--tenant-id", "aaaa0000000000000000000000000009"]).out;
    let said = session("pageserver-1", 6400, other.trim());
    assert!(said.contains("Tenant id mismatch"), "{said}");
    neon.cluster.run(&["neon", "jwt", "everything"]).exits(2).says(&["invalid value 'everything'"]);
}

/// In labels, environment and command lines, in logs, in what commands print, in what convoke keeps.
fn nothing_of_a_token_shows(neon: &Neon, up: &str) {
    let c = &neon.cluster;
    let command = ["/usr/local/bin/convoke", "neon", "control-plane", "--print-token"];
    let word = c.ok(&[&["exec", "-T", "control-plane"][..], &command].concat()).out;
    let key = private_key(c);
    let mut places = vec![("up".to_owned(), up.to_owned())];
    for component in c.components() {
        places.push((format!("inspect {component}"), c.inspect(&component).to_string()));
        places.push((format!("log of {component}"), c.log(&component)));
    }
    let config = ["config", "neon", "--set", "images=sim", "--set", "auth=true"];
    for command in [&config[..], &["report"], &["--format", "json", "report"], &["neon", "status"]] {
        places.push((command.join(" "), c.ok(command).all()));
    }
    let mut folders = vec![c.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    let content = std::fs::read(&path).unwrap_or_default();
                    places.push((path.display().to_string(), String::from_utf8_lossy(&content).into_owned()));
                }
            }
        }
    }
    assert!(word.trim().len() > 20 && places.len() > 25, "{word} {}", places.len());
    let secrets: Vec<&str> = key.iter().map(String::as_str).chain([BEGIN, word.trim(), "PRIVATE KEY"]).collect();
    for (place, text) in places {
        for secret in &secrets {
            assert!(!text.contains(secret), "{secret} in {place}:\n{text}");
        }
    }
}

/// The lines of the key that signs everything, of which none may be anywhere else.
fn private_key(cluster: &TestCluster) -> Vec<String> {
    let copied = cluster.path().with_extension("key");
    let to = copied.display().to_string();
    cluster.ok(&["cp", "control-plane:/data/auth_private_key.pem", &to]);
    let text = std::fs::read_to_string(&copied).unwrap();
    std::fs::remove_file(&copied).unwrap();
    let lines: Vec<String> =
        text.lines().filter(|line| !line.starts_with("---") && line.len() > 20).map(str::to_owned).collect();
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----") && !lines.is_empty(), "not a key");
    lines
}
