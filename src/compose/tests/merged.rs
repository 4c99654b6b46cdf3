//! Several files.

use super::*;

fn merged(base: &str, over: &str) -> Service {
    let file = |lines: &str| format!("services:\n  a:\n    {}\n", lines.replace('\n', "\n    "));
    let base = file(&format!("image: i\n{base}"));
    let loaded = load_texts(&[&base, &file(over)]).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.project.services["a"].clone()
}

#[test]
fn single_values_and_commands_are_replaced() {
    assert_eq!(merged("user: a", "user: b\nimage: j").user, text("b"));
    assert_eq!(merged("user: a", "user:").user, text("a"));
    assert_eq!(merged("command: [a, b]", "command: c d").command.unwrap().value, ["c", "d"]);
    assert_eq!(merged("command: [a, b]", "command: [c]").command.unwrap().value, ["c"]);
    let check = merged("healthcheck: { test: [CMD, a], retries: 2 }", "healthcheck: { test: [CMD, b] }");
    let check = check.healthcheck.unwrap();
    assert_eq!((check.test, check.retries), (Some(Test::Command(vec!["b".into()])), Some(2)));
    let probed = merged("x-convoke: { ready: { tcp: { port: 1 } } }", "x-convoke: { ready: { engine_health: true } }");
    assert_eq!(probed.convoke.ready.unwrap().action, ProbeAction::EngineHealth);
}

#[test]
fn mappings_are_merged_whatever_their_form() {
    let env = merged("environment: [A=1, B=2]", "environment: { B: 3, C: 4 }").environment;
    let env: Vec<_> = env.iter().map(|(key, value)| (key.as_str(), value.value.as_deref())).collect();
    assert_eq!(env, [("A", Some("1")), ("B", Some("3")), ("C", Some("4"))]);
    let depends = merged("depends_on: [b]", "depends_on: { b: { condition: service_healthy }, c: }").depends_on;
    assert_eq!((depends.len(), depends["b"].condition), (2, Condition::Healthy));
    let build = merged("build: ./x", "build: { args: { A: '1' } }").build.unwrap();
    assert_eq!((build.context.value.as_str(), build.args.len()), ("./x", 1));
    assert_eq!(merged("networks: [x]", "networks: { x: { aliases: [y] } }").networks.unwrap()["x"].aliases, ["y"]);
}

#[test]
fn lists_are_appended_to_without_repetitions() {
    let ports = merged("ports: ['80:80', 90]", "ports: ['80:80/tcp', '81:80']").ports;
    assert_eq!(ports.iter().map(|port| port.published).collect::<Vec<_>>(), [Some(80), None, Some(81)]);
    let mounts = merged("volumes: ['a:/a', 'b:/b']", "volumes: ['./c:/b', { type: tmpfs, target: /d }]").mounts;
    assert_eq!(mounts.iter().map(|mount| mount.target.as_str()).collect::<Vec<_>>(), ["/a", "/b", "/d"]);
    assert!(matches!(mounts[1].kind, MountKind::Bind { .. }));
    assert_eq!(merged("cap_add: [A, B]", "cap_add: [B, C]").cap_add, ["A", "B", "C"]);
    assert_eq!(merged("secrets: [s]", "secrets: [{ source: s, mode: 0400 }]").secrets.len(), 1);
}

#[test]
fn hosts_of_either_form_are_appended() {
    let hosts = |base, over| {
        let hosts = merged(base, over).extra_hosts;
        hosts.into_iter().map(|(name, address)| format!("{name} {address}")).collect::<Vec<_>>()
    };
    assert_eq!(
        hosts("extra_hosts: ['a:1.2.3.4']", "extra_hosts: ['b:5.6.7.8', 'a=::1']"),
        ["a 1.2.3.4", "b 5.6.7.8", "a ::1"]
    );
    assert_eq!(
        hosts("extra_hosts: { a: [1.1.1.1, 2.2.2.2] }", "extra_hosts: ['b=::1']"),
        ["a 1.1.1.1", "a 2.2.2.2", "b ::1"]
    );
    assert_eq!(
        hosts("extra_hosts: { a: host-gateway }", "extra_hosts: { a: 1.1.1.1 }"),
        ["a host-gateway", "a 1.1.1.1"]
    );
}

#[test]
fn a_single_text_is_appended_to_like_a_list_of_one() {
    let mounts = merged("tmpfs: /a", "tmpfs: /b").mounts;
    assert_eq!(mounts.iter().map(|mount| mount.target.as_str()).collect::<Vec<_>>(), ["/a", "/b"]);
}

#[test]
fn problems_of_all_files_are_reported_with_their_file() {
    let problems = load_texts(&["services: { a: { imgae: x } }", "services: { b: { image: x, bulid: y } }"]);
    let places: Vec<_> =
        problems.unwrap_err().iter().map(|problem| problem.place.clone().unwrap().to_string()).collect();
    assert_eq!(places, ["compose.yaml:1:18", "over.yaml:1:28"]);
}

mod associative {
    use proptest::prelude::*;

    use super::super::super::merge::merge;
    use super::super::super::node::Node;
    use super::super::super::place::SourceText;
    use super::super::super::yaml;
    use super::super::*;

    fn tree(text: &str) -> Node {
        let mut out = Diagnostics::new();
        let tree = yaml::parse(&SourceText::new("test", text), &mut out);
        assert!(out.is_empty(), "{out}\n{text}");
        tree.unwrap()
    }

    fn over(mut base: Node, over: Node) -> Node {
        merge(&mut base, over);
        base
    }

    /// Lines of a service, some of those whose merging the specification describes, in short and long forms.
    fn service() -> impl Strategy<Value = String> {
        let word = || "[a-d]";
        let texts = || prop::collection::vec(word(), 0..3).prop_map(|all| format!("[{}]", all.join(", ")));
        let pairs = || {
            let map = prop::collection::btree_map(word(), "[x-z]", 0..3);
            (map, any::<bool>()).prop_map(|(map, as_list)| {
                let (open, between, close) = if as_list { ("[", "=", "]") } else { ("{", ": ", "}") };
                let all: Vec<String> = map.iter().map(|(key, value)| format!("{key}{between}{value}")).collect();
                format!("{open}{}{close}", all.join(", "))
            })
        };
        let ports = || {
            let port = ("8[0-2]", "9[0-2]").prop_map(|(target, published)| {
                format!("{{ target: {target}, published: \"{published}\", protocol: tcp }}")
            });
            prop::collection::vec(port, 0..3).prop_map(|all| format!("[{}]", all.join(", ")))
        };
        let mounts = || {
            let mount = (word(), word()).prop_map(|(source, target)| format!("\"{source}:/{target}\""));
            prop::collection::vec(mount, 0..3).prop_map(|all| format!("[{}]", all.join(", ")))
        };
        let line = prop_oneof![
            word().prop_map(|image| format!("image: {image}")),
            texts().prop_map(|all| format!("command: {all}")),
            pairs().prop_map(|all| format!("environment: {all}")),
            pairs().prop_map(|all| format!("labels: {all}")),
            texts().prop_map(|all| format!("dns: {all}")),
            texts().prop_map(|all| format!("cap_add: {all}")),
            texts().prop_map(|all| format!("depends_on: {all}")),
            ports().prop_map(|all| format!("ports: {all}")),
            mounts().prop_map(|all| format!("volumes: {all}")),
            pairs().prop_map(|all| format!("build: {{ context: ., args: {all} }}")),
            word().prop_map(|context| format!("build: {context}")),
        ];
        prop::collection::btree_map("[0-4]", line, 0..5).prop_map(|lines| {
            let mut seen = std::collections::BTreeSet::new();
            let key = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
            let lines: Vec<String> = lines.into_values().filter(|line| seen.insert(key(line))).collect();
            format!("services: {{ web: {{ {} }} }}", lines.join(", "))
        })
    }

    proptest! {
        #[test]
        fn it_does_not_matter_which_two_files_are_merged_first(a in service(), b in service(), c in service()) {
            let left = over(over(tree(&a), tree(&b)), tree(&c));
            let right = over(tree(&a), over(tree(&b), tree(&c)));
            prop_assert!(left.says_the_same(&right), "{a}\n{b}\n{c}\n{left:?}\n{right:?}");
        }
    }
}

#[test]
fn an_empty_value_takes_away_what_may_be_without() {
    let base =
        "command: a\nentrypoint: b\nuser: u\nenvironment: { A: '1', B: '2' }\nlabels: [l=1]\nhealthcheck: { test: c }";
    let over = "command:\nentrypoint:\nuser:\nenvironment: [A]\nlabels: { l: }\nhealthcheck: { test: }";
    let web = merged(base, over);
    assert_eq!((web.command, web.entrypoint, web.user), (None, None, text("u")));
    assert_eq!((&web.environment["A"].value, &web.environment["B"].value), (&None, &text("2")));
    assert_eq!((web.labels["l"].as_str(), web.healthcheck.unwrap().test), ("", None));
}

#[test]
fn a_list_of_dependencies_means_what_it_says() {
    let depends =
        merged("depends_on: { b: { condition: service_healthy, restart: true } }", "depends_on: [b]").depends_on;
    assert_eq!((depends["b"].condition, depends["b"].restart), (Condition::Started, true));
}

#[test]
fn mounts_at_one_path_replace_each_other_however_it_is_written() {
    assert_eq!(merged("volumes: ['./a:/x/']", "volumes: ['./b:/x']").mounts.len(), 1);
}

#[test]
fn documents_of_one_file_are_laid_over_one_another() {
    let text = "services: { a: { image: i, ports: ['80:80'], user: u } }\n---\n---\nservices: { a: { ports: !override ['81:81'], tty: true } }\n";
    let service = &load_texts(&[text]).unwrap_or_else(|problems| panic!("{problems}")).project.services["a"];
    assert_eq!(
        (service.ports.len(), service.ports[0].target, service.tty, &service.user),
        (1, 81, true, &super::text("u"))
    );
}

/// The project of a service and what two files say besides.
fn project(base: &str, over: &str) -> Project {
    let base = format!("services: {{ web: {{ image: i }} }}\n{base}");
    load_texts(&[&base, over]).unwrap_or_else(|problems| panic!("{problems}")).project
}

#[test]
fn later_subnets_stand_and_keep_what_was_said_of_them() {
    let pools = |pools: &str| format!("networks: {{ n: {{ ipam: {{ config: [{{ {pools} }}] }} }} }}");
    let merged = |over: &str| {
        let network = project(&pools("subnet: 10.1.0.0/16, gateway: 10.1.0.9"), &pools(over)).networks["n"].clone();
        (network.subnet.unwrap().value, network.gateway.map(|gateway| gateway.value.to_string()))
    };
    assert_eq!(merged("subnet: 10.1.0.0/16, ip_range: 10.1.1.0/24"), ("10.1.0.0/16".into(), text("10.1.0.9")));
    assert_eq!(merged("subnet: 10.2.0.0/16"), ("10.2.0.0/16".into(), None));
}

#[test]
fn a_config_comes_from_one_place() {
    let merged = |over: &str| {
        let config =
            project("configs: { c: { file: ./f } }", &format!("configs: {{ c: {{ {over} }} }}")).configs["c"].clone();
        matches!(config.origin, FileOrigin::File(path) if path.value == "./f")
    };
    assert!(merged("name: n") && !merged("content: x"));
}

#[test]
fn an_external_network_s_other_keys_are_ignored() {
    let over = "networks: { n: { external: true, name: theirs } }";
    let text =
        format!("services: {{ web: {{ image: i }} }}\n{}", "networks: { n: { driver: bridge, internal: true } }");
    let loaded = load_texts(&[&text, over]).unwrap();
    let network = &loaded.project.networks["n"];
    assert!(network.external && network.driver.is_none() && !network.internal, "{network:?}");
    assert!(loaded.warnings.to_string().contains("networks.n is external, so its driver is ignored"));
}
