//! Names, images, probes and the rest of a service.

use std::time::Duration;

use super::{good, load, local, messages, names, one, resolve, try_with};
use crate::cluster::{HealthCheck, HealthTimes, ProbeAction, RestartPolicy};

#[test]
fn components_are_numbered_only_when_there_are_several() {
    let cluster = good(
        "
name: demo
services:
  one: { image: i }
  two: { image: i, scale: 2 }
  own: { image: i, container_name: mine }
",
    );
    assert_eq!(names(&cluster), ["one", "own", "two-1", "two-2"]);
    let containers: Vec<&str> = cluster.components.values().map(|c| c.container_name.as_str()).collect();
    assert_eq!(containers, ["demo-one-1", "mine", "demo-two-1", "demo-two-2"]);
    assert_eq!(one(&cluster, "two-2").number, 2);
    assert_ne!(one(&cluster, "one").config_hash, "");
    assert_eq!(one(&cluster, "two-1").config_hash, one(&cluster, "two-2").config_hash);
}

#[test]
fn scale_can_be_overridden() {
    let mut options = local();
    options.scale = [("web".parse().unwrap(), 2), ("wob".parse().unwrap(), 2)].into();
    let problems = try_with("services: { web: { image: i } }", &options).unwrap_err();
    assert_eq!(problems.to_string(), "error: there is no service \"wob\" to scale\n  = help: did you mean \"web\"?");
    options.scale.remove("wob");
    let (cluster, _) = try_with("services: { web: { image: i } }", &options).unwrap();
    assert_eq!(names(&cluster), ["web-1", "web-2"]);
}

#[test]
fn a_build_names_its_image_after_the_service() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("web")).unwrap();
    std::fs::write(folder.path().join("web/Dockerfile"), "FROM scratch").unwrap();
    let text = "
name: demo
services:
  Web: { build: { context: ./web, args: { A: '1' } } }
  api: { build: { context: ., dockerfile_inline: FROM scratch }, image: registry.example/api }
";
    let (cluster, warnings) = resolve(&load(folder.path(), text), &local()).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(one(&cluster, "Web").image, "demo-web");
    let build = one(&cluster, "Web").build.as_ref().unwrap();
    assert_eq!((build.context.clone(), build.dockerfile.as_str()), (folder.path().join("web"), "Dockerfile"));
    assert_eq!(one(&cluster, "api").image, "registry.example/api");
}

#[test]
fn what_an_image_is_built_from_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let text = "
services:
  gone: { build: ./gone }
  file: { build: { context: ./file } }
  empty: { build: ./empty }
  other: { build: { context: ./empty, dockerfile: build/Dockerfile } }
  ready: { image: 'app:1', build: ./gone }
  inline: { build: { context: ./empty, dockerfile_inline: FROM scratch } }
";
    let problems = resolve(&load(folder.path(), text), &local()).unwrap_err();
    let shown = problems.to_string().replace(&folder.path().display().to_string(), "/demo");
    insta::assert_snapshot!(shown, @r#"
    error: the build context /demo/gone doesn't exist
     --> compose.yaml:3:18
      |
    3 |   gone: { build: ./gone }
      |                  ^^^^^^
      = help: `context` is the directory, `dockerfile` is relative to it

    error: the build context /demo/file isn't a directory
     --> compose.yaml:4:29
      |
    4 |   file: { build: { context: ./file } }
      |                             ^^^^^^
      = help: `context` is the directory, `dockerfile` is relative to it

    error: there is no Dockerfile in the build context /demo/empty
     --> compose.yaml:5:19
      |
    5 |   empty: { build: ./empty }
      |                   ^^^^^^^
      = help: `context` is the directory, `dockerfile` is relative to it

    error: there is no build/Dockerfile in the build context /demo/empty
     --> compose.yaml:6:51
      |
    6 |   other: { build: { context: ./empty, dockerfile: build/Dockerfile } }
      |                                                   ^^^^^^^^^^^^^^^^
      = help: `context` is the directory, `dockerfile` is relative to it

    warning: the build context /demo/gone doesn't exist
     --> compose.yaml:7:35
      |
    7 |   ready: { image: 'app:1', build: ./gone }
      |                                   ^^^^^^
      = help: the image app:1 has to be there already
    "#);
}

#[test]
fn probes_and_health_checks_get_their_defaults() {
    let cluster = good(
        "
services:
  web:
    image: i
    healthcheck: { test: 'curl localhost', interval: 5s }
    x-convoke:
      live: { tcp: { port: 80 } }
      ready: { exec: { command: [check] }, timeout: 2s }
      boot: 3s
  quiet: { image: i, healthcheck: { disable: true } }
  direct: { image: i, healthcheck: { test: [CMD, check, me] }, x-convoke: { ready: { exec: { command: [check] } } } }
",
    );
    let web = one(&cluster, "web");
    let health = web.probes.health.as_ref().unwrap();
    assert_eq!((health.command.join(" ").as_str(), health.shell), ("/bin/sh -c curl localhost", true));
    assert_eq!((health.interval, health.timeout, health.retries), (Duration::from_secs(5), Duration::from_secs(30), 3));
    assert_eq!(web.probes.live.as_ref().unwrap().timeout, Duration::from_secs(1));
    assert_eq!(web.probes.ready.as_ref().unwrap().timeout, Duration::from_secs(2));
    assert_eq!(web.boot_hint, Some(Duration::from_secs(3)));
    let quiet = &one(&cluster, "quiet").probes;
    assert!(quiet.health_disabled && quiet.health.is_none());
    let direct = &one(&cluster, "direct").probes;
    assert_eq!(direct.health.as_ref().unwrap().command, ["check", "me"]);
    let ready = direct.ready.as_ref().unwrap();
    assert_eq!(
        (&ready.action, ready.timeout),
        (&ProbeAction::Exec { command: vec!["check".into()] }, Duration::from_secs(5))
    );
}

#[test]
fn health_checks_that_say_too_little_are_warned_about() {
    let text = "
services:
  b: { image: i, healthcheck: { test: [CMD, x], start_interval: 1s } }
";
    assert_eq!(messages(text), ["start_interval has no effect without a start_period"]);
}

#[test]
fn times_without_a_test_are_for_the_image_s_check() {
    let cluster = good(
        "services: { a: { image: i, healthcheck: { interval: 5s, retries: 0 } }, b: { image: i, healthcheck: {} } }",
    );
    let expected = HealthTimes { interval: Some(Duration::from_secs(5)), ..HealthTimes::default() };
    let probes = &one(&cluster, "a").probes;
    assert_eq!((&probes.health, &probes.health_times), (&None, &Some(expected)));
    assert_eq!(one(&cluster, "b").probes.health_times, None);
    let check = |interval| HealthCheck {
        command: vec!["check".into()],
        shell: false,
        interval: Duration::from_secs(interval),
        timeout: Duration::from_secs(2),
        retries: 7,
        start_period: Duration::ZERO,
        start_interval: None,
    };
    let of_image = check(30);
    let in_force = crate::plan::request::health_in_force(one(&cluster, "a"), Some(&of_image));
    assert_eq!(in_force.as_deref(), Some(&check(5)));
}

#[test]
fn labels_of_ours_are_refused() {
    let text = "services: { a: { image: i, labels: { convoke.cluster: x, fine: y } } }";
    assert_eq!(messages(text), ["the label convoke.cluster of \"a\" is convoke's to set"]);
}

#[test]
fn namespaces_and_volumes_of_others_are_those_of_their_first_container() {
    let text = "
services:
  owner: { image: i, scale: 2, pull_policy: daily, post_start: [{ command: echo hello, user: root }] }
  sharer: { image: i, pid: 'service:owner', ipc: 'container:other', volumes_from: ['owner:ro', 'container:x:rw'] }
";
    let cluster = good(text);
    let sharer = &cluster.components["sharer"];
    let settings = &sharer.spec.settings;
    assert_eq!(settings.pid.as_deref(), Some("container:demo-owner-1"));
    assert_eq!(settings.ipc.as_deref(), Some("container:other"));
    assert_eq!(settings.volumes_from, ["demo-owner-1:ro", "x:rw"]);
    assert_eq!(sharer.gates.len(), 2, "started after both containers of the service");
    let owner = &cluster.components["owner-1"];
    assert_eq!(owner.pull, Some(crate::cluster::PullPolicy::Every(std::time::Duration::from_secs(86_400))));
    assert_eq!(owner.hooks.post_start[0].command, ["echo", "hello"]);
    let other = text.replace("image: i, scale", "image: j, scale");
    assert_ne!(good(&other).components["sharer"].config_hash, sharer.config_hash, "it is replaced with its owner");
}

#[test]
fn nothing_is_shared_inside_a_cycle() {
    let text = "
services:
  a: { image: i, pid: 'service:b' }
  b: { image: i, depends_on: [a] }
";
    let said = messages(text);
    assert!(said.len() == 1 && said[0].contains("\"a\" shares something of \"b\" inside the cycle"), "{said:?}");
}

#[test]
fn plain_options_are_taken_over() {
    let cluster = good(
        "
services:
  a:
    image: i
    command: run 'it all'
    environment: { A: '1' }
    restart: on-failure:3
    stop_grace_period: 2s
    mem_limit: 64m
    read_only: true
    ulimits: { nofile: 1024 }
",
    );
    let spec = &one(&cluster, "a").spec;
    assert_eq!(spec.command.as_ref().unwrap(), &["run", "it all"]);
    assert_eq!(spec.environment["A"].as_deref(), Some("1"));
    assert_eq!(spec.restart, RestartPolicy::OnFailure { max_retries: 3 });
    assert_eq!(spec.stop_grace_period, Some(Duration::from_secs(2)));
    assert_eq!((spec.mem_limit, spec.read_only), (Some(64 << 20), true));
    assert_eq!(spec.ulimits["nofile"].soft, 1024);
}
