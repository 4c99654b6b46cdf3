//! Every form of an attribute laid over every other one, beside docker compose: all pairs in two files of as many services.

use std::fmt::Write as _;

use super::compose_config::{both, compose, folder_with};

/// Forms of each attribute that both programs take.
const FORMS: &[(&str, &[&str])] = &[
    ("annotations", &["{a: '1'}", "[a=2]", "{a: }"]),
    ("blkio_config", &["{weight: 1}", "{weight: 2}"]),
    (
        "build",
        &[
            "./a",
            "{context: ./b, args: {A: '1'}}",
            "{dockerfile: D, args: [A=2, B]}",
            "{args: {A: }, target: t, cache_from: [x]}",
            "{cache_from: [y, x], labels: {l: '1'}}",
            "{labels: [l=2], tags: [a:1]}",
            "{tags: [b:1], platforms: [linux/amd64]}",
            "{platforms: [linux/arm64], secrets: [s]}",
            "{secrets: [s, t], extra_hosts: {a: 1.1.1.1}}",
            "{extra_hosts: ['a=2.2.2.2'], additional_contexts: {c: ./x}}",
            "{additional_contexts: [c=./y, d=./z], no_cache: true, ulimits: {nofile: 1}}",
        ],
    ),
    ("cap_add", &["[A]", "[B, A]"]),
    ("command", &["a b", "[c, d]", "''", "[]", ""]),
    ("configs", &["[s]", "[{source: s, target: /x}]", "[{source: t, target: /x}]", "[t, s]"]),
    (
        "depends_on",
        &[
            "[x]",
            "[y]",
            "{x: {condition: service_healthy}}",
            "{x: {condition: service_started, restart: true}}",
            "{y: {condition: service_completed_successfully, required: false}}",
        ],
    ),
    (
        "deploy",
        &[
            "{replicas: 2}",
            "{resources: {limits: {cpus: '1', memory: 1m}}}",
            "{resources: {reservations: {devices: [{capabilities: [gpu], device_ids: ['1']}]}}, labels: {a: '1'}}",
            "{labels: [a=2], restart_policy: {condition: any, delay: 1s}}",
            "{restart_policy: {max_attempts: 2}}",
        ],
    ),
    (
        "devices",
        &[
            "['/dev/a:/dev/x']",
            "['/dev/b:/dev/x:r']",
            "['/dev/a']",
            "[{source: /dev/c, target: /dev/x, permissions: rw}]",
        ],
    ),
    ("dns", &["1.1.1.1", "[1.1.1.1, 2.2.2.2]", "[3.3.3.3]"]),
    ("entrypoint", &["a b", "[c, d]", "''", "[]", ""]),
    ("environment", &["{A: '1', B: x}", "{A: }", "[A=2, C]", "[A]", "{A: null, D: ''}", "{A: ''}"]),
    ("expose", &["[80]", "['80', '81']", "['80/udp']"]),
    ("extra_hosts", &["['a:1.1.1.1']", "{a: 2.2.2.2}", "['b=1.1.1.1', 'a=1.1.1.1']", "{a: [3.3.3.3, 4.4.4.4]}"]),
    (
        "healthcheck",
        &[
            "{test: [CMD, a], interval: 1s}",
            "{test: b, retries: 2}",
            "{disable: true}",
            "{test: [NONE]}",
            "{interval: 2s, timeout: 3s}",
        ],
    ),
    ("labels", &["{a: '1', b: x}", "{a: }", "[a=2, c]", "[a]", "{a: ''}"]),
    (
        "logging",
        &[
            "{driver: json-file, options: {a: '1'}}",
            "{options: {b: '2'}}",
            "{driver: syslog}",
            "{driver: json-file, options: {a: '3'}}",
        ],
    ),
    ("mem_limit", &["1m", "2g"]),
    ("networks", &["[n]", "[m]", "{n: {aliases: [a]}}", "{n: {aliases: [b], priority: 2}, m: }", "{n: }"]),
    (
        "ports",
        &[
            "['80:80']",
            "['81:80']",
            "['80']",
            "[{target: 80, published: '82'}]",
            "['127.0.0.1:80:80']",
            "['80:80/udp']",
            "['80-81:80-81']",
        ],
    ),
    ("profiles", &["[a]", "[b, a]"]),
    ("secrets", &["[s]", "[{source: s, target: x}]", "[{source: t, target: x}]", "[t, s]"]),
    ("sysctls", &["{a: 1}", "[a=2, b=3]", "{a: }"]),
    ("tmpfs", &["/a", "[/a, /b]", "[/c]"]),
    ("ulimits", &["{nofile: 1}", "{nproc: 5, nofile: 3}"]),
    ("user", &["a", "'0'"]),
    (
        "volumes",
        &[
            "['./a:/x']",
            "['./b:/x:ro']",
            "['data:/x']",
            "[{type: bind, source: ./c, target: /x}]",
            "['/x']",
            "['./a:/x/']",
        ],
    ),
];

const REST: &str = "  x: { image: x }\n  y: { image: y }\nnetworks: { n: {}, m: {} }\nvolumes: { data: {} }\n\
                    configs: { s: { content: s }, t: { content: t } }\n\
                    secrets: { s: { environment: HOME }, t: { environment: HOME } }\n";

/// The earlier and the later file, and for each service what is laid over what.
fn pairs() -> (String, String, Vec<String>) {
    let (mut base, mut over, mut titles) = ("services:\n".to_owned(), "services:\n".to_owned(), Vec::new());
    for (attribute, forms) in FORMS {
        let image = if *attribute == "build" { "" } else { "    image: i\n" };
        let all = forms.iter().flat_map(|first| forms.iter().map(move |second| (first, second)));
        for (first, second) in all.filter(|(first, second)| first != second) {
            let number = titles.len();
            _ = write!(base, "  s{number}:\n{image}    {attribute}: {first}\n");
            _ = write!(over, "  s{number}:\n    {attribute}: {second}\n");
            titles.push(format!("{attribute}: {first}  +  {second}"));
        }
    }
    (base + REST, over, titles)
}

#[test]
fn every_form_over_every_other_one() {
    let Some(compose) = compose() else { return };
    let (base, over, titles) = pairs();
    let folder = folder_with(&[("base.yaml", &base), ("over.yaml", &over)]);
    let args = ["-p", "fixture", "--profile", "*", "-f", "base.yaml", "-f", "over.yaml"];
    let (ours, theirs) = both(&compose, folder.path(), &args);
    let of = |all: &serde_json::Value, number: usize| all["services"][format!("s{number}")].clone();
    let all = titles.iter().enumerate().map(|(number, title)| (title, of(&ours, number), of(&theirs, number)));
    let different: Vec<String> = all
        .filter(|(_, ours, theirs)| ours != theirs)
        .map(|(title, ours, theirs)| format!("{title}\n  ours   {ours}\n  theirs {theirs}"))
        .collect();
    assert!(titles.len() > 300, "{}", titles.len());
    assert!(different.is_empty(), "{}", different.join("\n"));
}
