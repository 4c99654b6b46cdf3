//! What goes into a container: files, owners, variables, limits.

use serde_json::json;

use crate::support::{Api, TestCluster};

#[test]
fn configs_and_secrets_get_in_whatever_they_come_from() {
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:latest
    command: [--cat, /inline, --cat, /etc/from-file, --cat, /run/secrets/token, --cat, /run/secrets/key]
    configs:
      - { source: inline, target: /inline }
      - { source: file, target: /etc/from-file }
    secrets: [token, key]
    x-convoke: { ready: { tcp: { port: 8080 } } }
  sealed:
    image: convoke-test/probe-target:latest
    read_only: true
    command: [--cat, /etc/from-file, --write, /tmp/scratch]
    configs: [{ source: file, target: /etc/from-file }]
    tmpfs: [/tmp]
    x-convoke: { ready: { tcp: { port: 8080 } } }
configs:
  inline: { content: "of ${WHO}" }
  file: { file: ./app.conf }
secrets:
  token: { environment: TOKEN }
  key: { file: ./key }
"#,
    );
    cluster.write("app.conf", "of a file\n");
    cluster.write("key", "key material\n");
    let mut up = cluster.command(&["--format", "json", "up"]);
    up.env("WHO", "the environment").env("TOKEN", "hunter2secret");
    let up = cluster.run_command(up);
    up.exits(0).says_nothing_of(&["hunter2secret", "key material"]);
    let log = cluster.log("web");
    let wanted = ["/inline: of the environment", "/etc/from-file: of a file", "/run/secrets/token: hunter2secret"];
    for part in wanted.iter().chain(&["/run/secrets/key: key material"]) {
        assert!(log.contains(part), "{part:?} isn't in:\n{log}");
    }
    assert!(cluster.log("sealed").contains("/etc/from-file: of a file"));
    assert!(!cluster.container("web").labels.values().any(|label| label.contains("hunter2secret")));
    let environment = cluster.inspect("web")["Config"]["Env"].to_string();
    assert!(!environment.contains("hunter2secret"), "{environment}");
}

#[test]
fn a_volume_belongs_to_the_user_that_it_is_for() {
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:user
    command: [--uid-check, --write, /var/lib/web/mark]
    volumes: ["data:/var/lib/web"]
    x-convoke:
      owner: { /var/lib/web: "1000:1000:0750" }
      ready: { tcp: { port: 8080 } }
volumes:
  data: {}
"#,
    );
    cluster.ok(&["up"]);
    assert!(cluster.log("web").contains("uid 1000 gid 1000"));
    // Without the owner the root of the volume is root's.
    let other = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:user
    command: [--write, /var/lib/web/mark]
    volumes: ["data:/var/lib/web"]
    x-convoke: { ready: { tcp: { port: 8080 } } }
volumes:
  data: {}
"#,
    );
    other.run(&["up"]).exits(1).says(&["/var/lib/web/mark"]);
}

#[test]
fn variables_come_from_files_and_from_the_file_itself() {
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:latest
    env_file: [one.env, two.env]
    environment: { OWN: "${FROM_DOT_ENV:-unset}", SHADOWED: file }
    x-convoke: { ready: { tcp: { port: 8080 } } }
"#,
    );
    cluster.write("one.env", "# comment\nFIRST=1\nSHADOWED=env\nBOTH=one\n");
    cluster.write("two.env", "BOTH='two words'\n");
    cluster.write(".env", "FROM_DOT_ENV=dot\n");
    cluster.ok(&["up"]);
    let env = cluster.ok(&["exec", "web", "probe-target", "env"]).out;
    let lines: Vec<_> = env.lines().collect();
    for wanted in ["FIRST=1", "BOTH=two words", "OWN=dot", "SHADOWED=file"] {
        assert!(lines.contains(&wanted), "{wanted} isn't in:\n{env}");
    }
}

#[test]
fn limits_and_other_settings_reach_the_engine() {
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:latest
    hostname: host-of-web
    init: true
    user: "1000:1000"
    working_dir: /tmp
    shm_size: 32m
    ulimits: { nofile: { soft: 1024, hard: 2048 } }
    tmpfs: ["/scratch:size=1m"]
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    sysctls: { net.core.somaxconn: 300 }
    extra_hosts: ["elsewhere:192.0.2.7"]
    restart: unless-stopped
    stop_signal: SIGINT
    labels: { team: storage }
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
"#,
    );
    cluster.ok(&["up"]);
    let all = cluster.inspect("web");
    let (config, host) = (&all["Config"], &all["HostConfig"]);
    assert_eq!(config["Hostname"], "host-of-web");
    assert_eq!(config["User"], "1000:1000");
    assert_eq!(config["WorkingDir"], "/tmp");
    assert_eq!(config["StopSignal"], "SIGINT");
    assert_eq!(config["Labels"]["team"], "storage");
    assert_eq!(host["Init"], true);
    assert_eq!(host["ShmSize"], 32 << 20);
    assert_eq!(host["Ulimits"], json!([{ "Name": "nofile", "Soft": 1024, "Hard": 2048 }]));
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    assert_eq!(host["Sysctls"]["net.core.somaxconn"], "300");
    assert!(host["CapDrop"].to_string().contains("ALL") && host["CapAdd"].to_string().contains("NET_BIND_SERVICE"));
    let tmpfs = host["Tmpfs"].to_string() + &host["Mounts"].to_string();
    assert!(tmpfs.contains("/scratch"), "{tmpfs}");
    let hosts = cluster.ok(&["exec", "web", "probe-target", "env"]);
    hosts.says(&["HOSTNAME=host-of-web"]);
    assert!(host["ExtraHosts"].to_string().contains("elsewhere:192.0.2.7"));
}

/// The check that stands behind every test here: even a volume that was made and orphaned within one call is seen.
#[test]
fn an_anonymous_volume_that_is_left_behind_is_seen() {
    let cluster = TestCluster::without_file();
    let api = Api::new();
    let body = format!(
        r#"{{"Image": "convoke-test/probe-target:volume", "Labels": {{"convoke.cluster": "{}"}}}}"#,
        cluster.name
    );
    let (status, made) = api.send("POST", "/containers/create", &body);
    assert_eq!(status, 201, "{made}");
    let id = serde_json::from_str::<serde_json::Value>(&made).unwrap()["Id"].as_str().unwrap().to_owned();
    let path = format!("/containers/{id}");
    let volume = api.get(&format!("{path}/json"))["Mounts"][0]["Name"].as_str().unwrap().to_owned();
    assert_eq!(api.send("DELETE", &path, "").0, 204, "without its volume");
    let begun = std::time::Instant::now();
    while cluster.left() != [format!("anonymous volume {volume}")] {
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", cluster.left());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(api.send("DELETE", &format!("/volumes/{volume}"), "").0, 204);
    cluster.assert_gone();
}
