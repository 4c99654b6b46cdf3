//! Whole files: what good ones mean and what is said about bad ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod bad;
mod bad_values;
mod built;
mod composed;
mod corpus;
mod merged;
mod mounted;
mod support;

/// Loads texts as files of a directory that doesn't exist.
fn load_texts(texts: &[&str]) -> Result<Loaded, Diagnostics> {
    let names = ["compose.yaml", "over.yaml", "third.yaml"];
    let sources: Vec<Source> = texts
        .iter()
        .zip(names)
        .map(|(text, name)| Source { name: name.into(), text: (*text).into(), path: None })
        .collect();
    let env = [("TAG", "16"), ("EMPTY", ""), ("TRUE", "true"), ("PORT", "8080")];
    let options = LoadOptions {
        env: env.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect::<BTreeMap<_, _>>().into(),
        working_dir: Some(PathBuf::from("/nowhere/shop")),
        ..LoadOptions::default()
    };
    load(&sources, &options)
}

/// What is said about a file: as the error, or as the warnings.
fn said(text: &str) -> String {
    load_texts(&[text]).map_or_else(|problems| problems.to_string(), |loaded| loaded.warnings.to_string())
}

fn loaded(text: &str) -> Loaded {
    load_texts(&[text]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The only service of a file with these lines in it, which must give no warning.
fn service(lines: &str) -> Service {
    let indented = lines.replace('\n', "\n    ");
    let loaded = loaded(&format!("services:\n  a:\n    image: i\n    {indented}\n"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.project.services["a"].clone()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_typical_file() {
    let loaded = loaded(
        "
x-common: &common
  restart: unless-stopped
  environment: &env { LOG: info, RATIO: 1.10, ON: yes, FLAG: true, TAG: , GONE: }
x-convoke: { start: together }
services:
  web:
    <<: *common
    build: ./web
    command: serve --name 'two words' $$HOME
    ports: ['${PORT}:80', 443, { target: 53, published: '5353', protocol: udp, host_ip: 127.0.0.1 }]
    depends_on: [db]
    networks: { front: { aliases: [www], ipv4_address: 10.5.0.9 }, back: }
    x-convoke: { ready: { http: { port: 80, path: /ready, headers: { Host: web } }, timeout: 2s }, needs: [db] }
  db:
    <<: [*common, { init: true, restart: always }]
    image: postgres:${TAG:-15}
    environment: { <<: *env, LOG: debug }
    depends_on: { web: { condition: service_healthy, required: false } }
    volumes: ['data:/var/lib/pg:ro', './conf:/etc/pg', '/tmp/cache', { type: tmpfs, target: /run, tmpfs: { size: 1m, mode: 0700 } }]
    secrets: [{ source: pw, mode: 0400, uid: '999' }]
    healthcheck: { test: pg_isready, interval: 1s, retries: 5 }
    x-convoke: { owner: { /var/lib/pg: '999:999:0700' }, boot: 3s }
networks: { front: { ipam: { config: [{ subnet: 10.5.0.0/24, gateway: 10.5.0.1 }] } }, back: { internal: true } }
volumes: { data: }
secrets: { pw: { environment: PASSWORD } }
",
    );
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let project = &loaded.project;
    assert_eq!((project.name.as_str(), project.start), ("shop", Start::Together));
    let (web, db) = (&project.services["web"], &project.services["db"]);
    assert_eq!(web.command.as_ref().unwrap().value, ["serve", "--name", "two words", "$HOME"]);
    assert_eq!(web.build.as_ref().unwrap().context.value, "./web");
    let ports: Vec<_> = web.ports.iter().map(|port| (port.published, port.target, port.protocol)).collect();
    assert_eq!(ports, [(Some(8080), 80, Protocol::Tcp), (None, 443, Protocol::Tcp), (Some(5353), 53, Protocol::Udp)]);
    let front = &web.networks.as_ref().unwrap()["front"];
    assert_eq!(front.ipv4_address.as_ref().unwrap().value.to_string(), "10.5.0.9");
    let ready = web.convoke.ready.as_ref().unwrap();
    assert_eq!(ready.timeout, Some(Duration::from_secs(2)));
    assert_eq!(db.image.as_ref().unwrap().value, "postgres:16");
    assert_eq!((db.restart, db.init), (Some(Restart::UnlessStopped), true));
    let env: BTreeMap<_, _> = db.environment.iter().map(|(key, value)| (key.as_str(), value.value.clone())).collect();
    let expected = [
        ("LOG", text("debug")),
        ("RATIO", text("1.10")),
        ("ON", text("yes")),
        ("FLAG", text("true")),
        ("TAG", text("16")),
        ("GONE", None),
    ];
    assert_eq!(env, BTreeMap::from(expected));
    let dependency = &db.depends_on["web"];
    assert_eq!((dependency.condition, dependency.required), (Condition::Healthy, false));
    assert_eq!(db.mounts.len(), 4);
    assert!(matches!(&db.mounts[0].kind, MountKind::Volume { source: Some(key), .. } if key.value.as_str() == "data"));
    assert!(db.mounts[0].read_only);
    assert!(matches!(&db.mounts[1].kind, MountKind::Bind { source, create: true } if source.value == "./conf"));
    assert!(matches!(&db.mounts[2].kind, MountKind::Volume { source: None, .. }));
    assert!(matches!(&db.mounts[3].kind, MountKind::Tmpfs { mode: Some(0o700), .. }));
    assert_eq!((db.secrets[0].mode, db.secrets[0].uid), (Some(0o400), Some(999)));
    assert_eq!(db.healthcheck.as_ref().unwrap().test, Some(Test::Shell("pg_isready".into())));
    assert_eq!(db.convoke.owner[0].mode, Some(0o700));
    assert_eq!(project.networks["front"].gateway.as_ref().unwrap().value.to_string(), "10.5.0.1");
    assert!(matches!(&project.secrets["pw"].origin, FileOrigin::Environment(name) if name.value == "PASSWORD"));
}

#[test]
fn places_are_those_of_the_file() {
    let loaded = loaded("services:\n  a:\n    image: x\n    depends_on:\n      - b\n");
    let service = &loaded.project.services["a"];
    assert_eq!(service.at.to_string(), "compose.yaml:2:3");
    assert_eq!(service.image.as_ref().unwrap().at.to_string(), "compose.yaml:3:12");
    assert_eq!(service.depends_on["b"].at.to_string(), "compose.yaml:5:9");
}

#[test]
fn long_and_short_forms_mean_the_same() {
    assert_eq!(service("entrypoint: []").entrypoint.unwrap().value, Vec::<String>::new());
    assert_eq!(service("command: ").command, None);
    assert_eq!(service("ulimits: { nofile: 10 }").ulimits["nofile"], Ulimit { soft: 10, hard: 10 });
    assert_eq!(service("ulimits: { nofile: { soft: 1, hard: -1 } }").ulimits["nofile"], Ulimit { soft: 1, hard: -1 });
    assert_eq!(service("scale: '2'").scale.unwrap().value, 2);
    assert_eq!(service("deploy: { replicas: 3 }").scale.unwrap().value, 3);
    assert!(service("init: ${TRUE}").init);
    assert_eq!(service("restart: no").restart, Some(Restart::No));
    assert_eq!(service("restart: on-failure:3").restart, Some(Restart::OnFailure { max_retries: 3 }));
    assert_eq!(service("user: 1000").user, text("1000"));
    assert_eq!(service("networks: [x]").networks.unwrap().len(), 1);
    assert_eq!(service("labels: [a=b, c]").labels, service("labels: { a: b, c: }").labels);
    assert_eq!(
        service("extra_hosts: ['a:1.2.3.4', 'b=::1', 'c:[::1]', 'd=host-gateway']").extra_hosts,
        service("extra_hosts: { a: 1.2.3.4, b: '::1', c: '::1', d: host-gateway }").extra_hosts,
    );
    assert_eq!(service("expose: [80, '90-91/udp']").expose.len(), 3);
    let tmpfs = service("tmpfs: '/run:size=1m,noexec,mode=755'").mounts.remove(0);
    let options = Some("noexec".to_owned());
    let size = Some(crate::units::ByteSize(1 << 20));
    assert_eq!(tmpfs.kind, MountKind::Tmpfs { size, mode: Some(0o755), options });
}

#[test]
fn health_checks_in_all_forms() {
    let check = |lines: &str| service(lines).healthcheck.unwrap();
    let words = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(check("healthcheck: { test: [CMD, a, b] }").test, Some(Test::Command(words)));
    assert_eq!(check("healthcheck: { test: [CMD-SHELL, a b] }").test, Some(Test::Shell("a b".into())));
    for lines in ["healthcheck: { disable: true }", "healthcheck: { test: [NONE] }"] {
        let check = check(lines);
        assert!(check.disabled && check.test.is_none(), "{lines}");
    }
    assert!(!check("healthcheck: { interval: 5s }").disabled);
}

#[test]
fn probes_in_all_forms() {
    let action = |probe: &str| service(&format!("x-convoke: {{ ready: {{ {probe} }} }}")).convoke.ready.unwrap().action;
    assert_eq!(action("tcp: { port: 5 }"), ProbeAction::Tcp { port: 5 });
    assert_eq!(action("http: { port: 5 }"), ProbeAction::Http { port: 5, path: "/".into(), headers: vec![] });
    let command = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(action("exec: { command: a b }"), ProbeAction::Exec { command: command.clone() });
    assert_eq!(action("exec: { command: [a, b] }"), ProbeAction::Exec { command });
    assert_eq!(action("log: { contains: up }"), ProbeAction::Log { contains: "up".into() });
    for form in ["engine_health: true", "engine_health: {}", "engine_health: "] {
        assert_eq!(action(form), ProbeAction::EngineHealth, "{form}");
    }
    let owners = service("x-convoke: { owner: ['/d=1:2', '/e=3:4:0750'], completes: true }").convoke;
    assert_eq!((owners.owner[1].gid, owners.owner[1].mode, owners.completes), (4, Some(0o750), Some(true)));
}

#[test]
fn the_name_comes_from_the_nearest_source() {
    let name = |text: &str, options: LoadOptions| {
        let source = Source { name: "c".into(), text: text.into(), path: Some("/x/My Dir/compose.yaml".into()) };
        load(&[source], &options).map(|loaded| loaded.project.name.to_string()).map_err(|problems| problems.to_string())
    };
    let plain = "services: { a: { image: $COMPOSE_PROJECT_NAME } }";
    let named = "name: file-${X:-y}\nservices: { a: { image: i } }";
    assert_eq!(name(plain, LoadOptions::default()).unwrap(), "mydir");
    assert_eq!(name(named, LoadOptions::default()).unwrap(), "file-y");
    let env = BTreeMap::from([("COMPOSE_PROJECT_NAME".to_owned(), "env".to_owned())]);
    assert_eq!(name(named, LoadOptions { env: env.clone().into(), ..LoadOptions::default() }).unwrap(), "env");
    let given = LoadOptions { env: env.into(), project_name: text("given"), ..LoadOptions::default() };
    assert_eq!(name(named, given).unwrap(), "given");
    let wrong = LoadOptions { project_name: text("No Good"), ..LoadOptions::default() };
    assert!(name(named, wrong).unwrap_err().starts_with("error: cluster name \"No Good\" must"));
}

#[test]
fn environment_files_and_dot_env_are_read() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
    write(".env", "IMAGE=fromdotenv\nWIN=dotenv\n");
    write("a.env", "A=1\nB=${WIN}\nWIN\n");
    write("b.env", "B=2\n");
    write(
        "compose.yaml",
        "services:\n  a:\n    image: $IMAGE\n    env_file: [a.env, { path: b.env }, { path: no.env, required: false }]\n    environment: [C=3, A]\n",
    );
    let env = BTreeMap::from([("WIN".to_owned(), "env".to_owned())]);
    let source = Source::read(&root.path().join("compose.yaml")).unwrap();
    let loaded = load(&[source], &LoadOptions { env: env.into(), ..LoadOptions::default() }).unwrap();
    let service = &loaded.project.services["a"];
    assert_eq!(service.image.as_ref().unwrap().value, "fromdotenv");
    let env: Vec<_> = service.environment.iter().map(|(key, value)| (key.as_str(), value.value.as_deref())).collect();
    assert_eq!(env, [("A", None), ("B", Some("2")), ("WIN", Some("env")), ("C", Some("3"))]);
    assert_eq!(loaded.files, [root.path().join("compose.yaml")]);
    assert_eq!(loaded.working_dir, root.path());
}

#[test]
fn the_debug_form_hides_contents() {
    let loaded = loaded("services: { a: { image: i } }\nsecrets: { s: { content: hunter2 } }\n");
    let debug = format!("{loaded:?}");
    assert!(!debug.contains("hunter2") && !debug.contains("8080"), "{debug}");
}

#[test]
fn what_is_wrong_in_a_service_that_others_extend_is_said_once() {
    let mut text = "services:\n  base:\n    image: i\n    ports: ['70000:80']\n".to_owned();
    for n in 0..3 {
        text += &format!("  s{n}: {{ extends: {{ service: base }} }}\n");
    }
    let said = said(&text);
    assert_eq!(said.matches("out of range").count(), 1, "{said}");
    assert!(said.contains("(and so in 3 more services)"), "{said}");
}

#[test]
fn two_thousand_services_load_quickly() {
    let mut text = "services:\n".to_owned();
    for number in 0..2000 {
        text += &format!("  s{number}:\n    image: i\n    environment: {{ A: \"{number}\", B: c }}\n    ports: [80]\n");
    }
    assert_eq!(loaded(&text).project.services.len(), 2000);
}

/// Pieces that make up nearly valid files, for the property test.
fn nearly_compose() -> impl Strategy<Value = String> {
    let pieces = [
        "services:",
        "\n",
        "\n  ",
        "\n    ",
        "a:",
        " image: x",
        " build:",
        "ports:",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        "&a ",
        "*a",
        "<<: ",
        "$",
        "${A:-",
        "80:80",
        " volumes: ",
        "x-convoke:",
        "ready:",
        "|",
        ">",
        "#",
        ": ",
        ",",
        "!!str ",
        "?",
        "networks:",
        "healthcheck:",
        "test:",
        "environment:",
        "\t",
        "é",
        "0440",
        "depends_on:",
        "null",
        "---",
        "secrets:",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
}

/// Lines of a service, each of any key with a value of any kind, for the property test.
fn nearly_service() -> impl Strategy<Value = Vec<String>> {
    let keys: Vec<&str> = super::canonical::shapes::SERVICE.iter().map(|(key, _)| *key).collect();
    let values = [
        "1",
        "0.5",
        "true",
        "yes",
        "-1",
        "a",
        "'1'",
        "[]",
        "{}",
        "[a]",
        "[a, b=c]",
        "{ a: b }",
        "{ a: 1, b: }",
        "null",
        "80:80",
        "[80, '81:82']",
        "./a:/b",
        "['./a:/b:ro']",
        "1m",
        "[{ source: s }]",
        "[{ path: a, rate: 1 }]",
        "{ driver: d, options: { a: 1 } }",
        "'$$A'",
        "all",
        "[[a]]",
        "{ a: { b: c } }",
        "host",
        "service:b",
        "{ test: a b, retries: 2 }",
        "{ context: ., args: [A=1] }",
        "{ limits: { memory: 1m } }",
    ];
    let line = (prop::sample::select(keys), prop::sample::select(values.to_vec()));
    let lines = prop::collection::hash_map(line.0, line.1, 0..6);
    lines.prop_map(|lines| lines.into_iter().map(|(key, value)| format!("{key}: {value}")).collect())
}

proptest! {
    #[test]
    fn nearly_valid_files_never_panic(first in nearly_compose(), second in nearly_compose()) {
        match load_texts(&[&first, &second]) {
            Ok(loaded) => drop(loaded.canonical(true).yaml()),
            Err(problems) => prop_assert!(!problems.to_string().is_empty()),
        }
    }

    #[test]
    fn nearly_valid_services_never_panic(lines in nearly_service()) {
        let text = format!("services:\n  a:\n    image: i\n{}", lines.iter().map(|line| format!("    {line}\n")).collect::<String>());
        // One whose only service is switched off has nothing to print.
        if let Some(first) = load_texts(&[&text]).ok().filter(|loaded| !loaded.project.services.is_empty()) {
            let first = first.canonical(true).yaml();
            let again = load_texts(&[&first]).unwrap_or_else(|problems| panic!("{text}\n{first}\n{problems}"));
            prop_assert_eq!(again.canonical(true).yaml(), first);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = load_texts(&[&String::from_utf8_lossy(&bytes)]).map_err(|problems| problems.to_string());
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(.|\n){0,200}") {
        let _ = load_texts(&[&text]).map_err(|problems| problems.to_string());
    }
}

/// What says nothing to docker compose.
#[test]
fn zeros_that_leave_it_to_the_image_or_the_engine() {
    let web = service("mem_swappiness: -1\nhealthcheck: { test: [], interval: 0s, timeout: 0s, retries: 0 }");
    let check = web.healthcheck.unwrap();
    assert_eq!(
        (check.test, check.disabled, check.interval, check.timeout, check.retries),
        (None, false, None, None, None)
    );
    assert_eq!(web.settings.mem_swappiness, None);
    let devices = service("devices: ['/dev/a::r']").settings.devices;
    assert_eq!((devices[0].target.as_str(), devices[0].permissions.as_str()), ("/dev/a", "r"));
    assert_eq!(service("stop_grace_period: 1d2h").stop_grace_period, Some(Duration::from_secs(26 * 3600)));
}

#[test]
fn a_seccomp_profile_is_read() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
    write("good.json", "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }\n");
    write("bad.json", "{");
    let of = |option: &str| -> Result<String, String> {
        write("compose.yaml", &format!("services: {{ a: {{ image: i, security_opt: [\"{option}\"] }} }}\n"));
        let source = Source::read(&root.path().join("compose.yaml")).unwrap();
        let loaded = load(&[source], &LoadOptions::default()).map_err(|problems| problems.to_string())?;
        Ok(loaded.project.services["a"].security_opt[0].clone())
    };
    assert_eq!(of("seccomp:./good.json"), Ok(r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#.to_owned()));
    for kept in ["seccomp=unconfined", "seccomp:builtin", "label:disable", "no-new-privileges:true"] {
        assert_eq!(of(kept), Ok(kept.to_owned()));
    }
    assert!(of("seccomp=bad.json").unwrap_err().contains("the seccomp profile bad.json is no JSON"));
    assert!(of("seccomp=gone.json").unwrap_err().contains("the seccomp profile \"gone.json\" can't be read"));
}

/// Printed, it must be readable again.
#[test]
fn a_project_without_services_can_be_described() {
    let source = |text: &str| Source { name: "compose.yaml".into(), text: text.into(), path: None };
    let options = LoadOptions { project_name: Some("p".into()), describes_only: true, ..LoadOptions::default() };
    let printed = |text: &str| load(&[source(text)], &options).unwrap().canonical(true).yaml();
    let off = printed("services: { a: { image: i, profiles: [never] } }");
    assert_eq!((off.as_str(), printed(&off)), ("name: p\nservices: {}\n", off.clone()));
    assert_eq!(printed("networks: { n: {} }"), off);
    assert!(load(&[source("services: {}")], &LoadOptions { describes_only: false, ..options }).is_err());
}
