//! The configuration hash: what has to be equal for a running container to be kept.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::component::{Component, ContainerSpec, FileContent, HostFile};
use super::image_build::Build;
use crate::compose::Settings;
use crate::mask::Masker;

/// What tells whether a component's configuration changed, and which parts of it.
///
/// Both stand in labels for everybody to read: of a secret only so much goes in as tells of a change (see
/// `SECRET_DIGITS`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Hex SHA-256 over everything whose change needs a new container: image, build, container specification, health
    /// check, files and volume owners. Probes, needs, gates, hosts entries and addresses that convoke chose aren't in it.
    ///
    /// Members that have their default value are left out, so that a new version of convoke with one more member
    /// doesn't replace everybody's containers. Files which are read at creation (remote engines) are read here for their
    /// digest; one that can't be read counts as empty, and its creation will say why.
    pub hash: String,
    /// A short digest of each part of the configuration that has a value, as `environment:1a2b3,image:90ab0`. Two of
    /// them tell which parts differ, and so why a container is replaced.
    pub parts: String,
}

impl Digests {
    /// Those of this component.
    #[must_use]
    pub fn of(component: &Component) -> Self {
        let secrets = &component.secrets;
        let (configuration, mut text, mut parts) = (hashed(component), String::new(), Vec::new());
        write_parts(&configuration, &mut text, &mut parts);
        let own = parts.into_iter().map(|(key, range)| (key, &text[range])).filter(|(_, text)| has_value(text));
        let mut parts: Vec<String> =
            own.map(|(key, text)| format!("{key}:{}", secret_digits(&conceal(text, secrets)))).collect();
        parts.sort_unstable();
        Self { hash: sha256_hex(&*conceal(&text, secrets)), parts: parts.join(",") }
    }
}

fn has_value(text: &str) -> bool {
    !matches!(text, "null" | "false" | "[]")
}

/// What the hash is made of.
fn hashed(component: &Component) -> Map<String, Value> {
    let mut parts = Map::new();
    insert(&mut parts, "image", &component.image);
    insert(&mut parts, "build", &component.build.as_ref().map(without_passed_args));
    parts.insert("spec".to_owned(), non_default(&component.spec).into());
    insert(&mut parts, "health", &component.probes.health);
    insert(&mut parts, "health_disabled", &component.probes.health_disabled);
    if let Some(times) = &component.probes.health_times {
        insert(&mut parts, "health_times", times);
    }
    let secrets = &component.secrets;
    parts.insert("files".to_owned(), component.files.iter().map(|of| file(of, secrets)).collect());
    insert(&mut parts, "owners", &component.owners);
    parts
}

/// The parts in which two texts of [`Digests::parts`] differ, by the names that a Compose file has for them; sorted.
#[must_use]
pub fn changed_parts(one: &str, other: &str) -> Vec<String> {
    let (one, other): (BTreeSet<&str>, BTreeSet<&str>) = (one.split(',').collect(), other.split(',').collect());
    let differing = one.symmetric_difference(&other).filter_map(|part| part.split_once(':'));
    let names: BTreeSet<&str> = differing.map(|(key, _)| name_in_file(key)).collect();
    names.into_iter().map(str::to_owned).collect()
}

fn name_in_file(key: &str) -> &str {
    match key {
        "mounts" => "volumes",
        "health" | "health_times" | "health_disabled" => "healthcheck",
        "files" => "configs or secrets",
        "owners" => "owner",
        "nano_cpus" => "cpus",
        "device_requests" => "gpus",
        "blkio" => "blkio_config",
        other => other,
    }
}

/// Hex digits that are left of a secret's digest. They tell of nearly every change (all but one in a million), and to
/// one who guesses what the secret may be they leave one in a million of the guesses, but not which.
const SECRET_DIGITS: usize = 5;

/// The text with its secrets replaced by what is left of their digests.
fn conceal<'t>(text: &'t str, secrets: &[String]) -> Cow<'t, str> {
    if secrets.is_empty() {
        return text.into();
    }
    let masker = Masker::new(secrets);
    if !masker.finds(text) {
        return text.into();
    }
    let mut concealed = masker.mask(text);
    for secret in secrets.iter().filter(|secret| Masker::new([secret]).finds(text)) {
        concealed.push(' ');
        concealed.push_str(&secret_digits(secret));
    }
    concealed.into()
}

fn secret_digits(text: &str) -> String {
    let mut digits = sha256_hex(text);
    digits.truncate(SECRET_DIGITS);
    digits
}

/// Hex SHA-256 of some bytes.
#[must_use]
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    let digits = |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    Sha256::digest(bytes.as_ref()).into_iter().flat_map(digits).collect()
}

fn insert(parts: &mut Map<String, Value>, key: &str, value: &impl Serialize) {
    parts.insert(key.to_owned(), json(value));
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("these types have string keys and no fallible serialisers")
}

/// Arguments without a value come from convoke's environment: those of another shell shouldn't replace a container.
fn without_passed_args(build: &Build) -> Build {
    let mut build = build.clone();
    build.args.retain(|_, value| value.is_some());
    build
}

/// What a specification of which nothing is said comes to.
struct Defaults {
    spec: Map<String, Value>,
    settings: Map<String, Value>,
}

static DEFAULTS: LazyLock<Defaults> =
    LazyLock::new(|| Defaults { spec: members(&ContainerSpec::default()), settings: members(&Settings::default()) });

fn members(of: &impl Serialize) -> Map<String, Value> {
    match json(of) {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// What the specification says. Of the settings in it, too, which are many, and there will be more of them.
fn non_default(spec: &ContainerSpec) -> Map<String, Value> {
    let mut said = changed(members(spec), &DEFAULTS.spec);
    if let Some(Value::Object(settings)) = said.get_mut("settings") {
        *settings = changed(std::mem::take(settings), &DEFAULTS.settings);
    }
    said
}

/// The members that differ from the default's.
fn changed(mut members: Map<String, Value>, default: &Map<String, Value>) -> Map<String, Value> {
    members.retain(|key, value| default.get(key) != Some(value));
    members
}

fn file(file: &HostFile, secrets: &[String]) -> Value {
    let digest = match &file.content {
        FileContent::Inline { bytes } => digest(bytes.clone(), secrets),
        FileContent::Path { path } => digest(std::fs::read(path).unwrap_or_default(), secrets),
    };
    json(&(&file.target, digest, file.uid, file.gid, file.mode))
}

fn digest(content: Vec<u8>, secrets: &[String]) -> String {
    match String::from_utf8(content) {
        Ok(text) => sha256_hex(&*conceal(&text, secrets)),
        Err(binary) => sha256_hex(binary.as_bytes()),
    }
}

/// Members whose own members are parts.
const OPENED: [&str; 2] = ["spec", "settings"];

/// Writes an object, and notes where the value of each part stands.
fn write_parts<'v>(members: &'v Map<String, Value>, out: &mut String, parts: &mut Vec<(&'v str, Range<usize>)>) {
    write_object(members, out, |key, value, out| match value {
        Value::Object(members) if OPENED.contains(&key) => write_parts(members, out, parts),
        value => {
            let start = out.len();
            write_value(value, out);
            parts.push((key, start..out.len()));
        }
    });
}

/// JSON with sorted keys and no spaces, whatever features serde_json was built with.
fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => write_object(members, out, |_, value, out| write_value(value, out)),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::String(text) => write_string(text, out),
        // A String takes everything.
        scalar => _ = write!(out, "{scalar}"),
    }
}

fn write_object<'v>(
    members: &'v Map<String, Value>,
    out: &mut String,
    mut write_member: impl FnMut(&'v str, &'v Value, &mut String),
) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    out.push('{');
    for (i, (key, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        write_member(key, value, out);
    }
    out.push('}');
}

fn write_string(text: &str, out: &mut String) {
    let is_plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if is_plain {
        out.extend(["\"", text, "\""]);
    } else {
        _ = write!(out, "{}", Value::from(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;
    use crate::cluster::{FileContent, HealthTimes, HostFile, VolumeOwner};
    use std::time::Duration;

    fn hash(component: &Component) -> String {
        Digests::of(component).hash
    }

    fn parts(component: &Component) -> String {
        Digests::of(component).parts
    }

    /// If this fails, `up` after an upgrade replaces every container of every user: change the hash only knowingly.
    #[test]
    fn the_hash_is_pinned() {
        let mut component = sample::component("web", &["default"]);
        component.spec.command = Some(vec!["serve".into()]);
        component.spec.environment.insert("A".into(), Some("1".into()));
        assert_eq!(hash(&component), "6b2834782570c382a825383c93dee8d15d8d8785330ab2d4bc268f1136dfc30f");
    }

    #[test]
    fn what_needs_a_new_container_changes_it() {
        let base = sample::component("web", &["default"]);
        let changes: [fn(&mut Component); 8] = [
            |c| c.probes.health_times = Some(HealthTimes { retries: Some(9), ..HealthTimes::default() }),
            |c| c.image = "other".into(),
            |c| c.spec.entrypoint = Some(vec![]),
            |c| drop(c.spec.environment.insert("A".into(), None)),
            |c| c.probes.health_disabled = true,
            |c| c.spec.networks.clear(),
            |c| c.owners.push(VolumeOwner { target: "/data".into(), uid: 1, gid: 1, mode: None }),
            |c| {
                let content = FileContent::Inline { bytes: b"x".to_vec() };
                c.files.push(HostFile { target: "/f".into(), content, uid: 0, gid: 0, mode: 0o444 });
            },
        ];
        let mut seen = std::collections::BTreeSet::from([hash(&base)]);
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed);
            assert!(seen.insert(hash(&changed)), "{changed:?}");
        }
    }

    #[test]
    fn what_changed_is_told_by_its_name_in_the_file() {
        let base = sample::component("web", &["default"]);
        let mut changed = base.clone();
        changed.image = "other".into();
        changed.spec.environment.insert("A".into(), Some("1".into()));
        changed.probes.health_disabled = true;
        assert_eq!(changed_parts(&parts(&base), &parts(&changed)), ["environment", "healthcheck", "image"]);
        assert_eq!(changed_parts(&parts(&changed), &parts(&changed)), [""; 0]);
        // What an older version of convoke made has none.
        assert_eq!(changed_parts("", ""), [""; 0]);
    }

    #[test]
    fn a_secret_stands_in_no_part() {
        let shown = parts(&with_secret("hunter2"));
        assert!(shown.split(',').all(|part| part.split_once(':').unwrap().1.len() == SECRET_DIGITS), "{shown}");
        assert_eq!(changed_parts(&shown, &parts(&with_secret("hunter3"))), ["configs or secrets", "environment"]);
    }

    #[test]
    fn what_can_change_while_it_runs_does_not() {
        let base = sample::component("web", &["default"]);
        let mut changed = base.clone();
        changed.probes.ready = Some(sample::tcp_probe(80));
        changed.needs.insert("db".parse().unwrap());
        changed.boot_hint = Some(Duration::from_secs(1));
        changed.restarts_early_exit = true;
        changed.depends_on_label = "db:service_healthy:false".into();
        assert_eq!(hash(&base), hash(&changed));
    }

    fn with_secret(secret: &str) -> Component {
        let mut component = sample::component("web", &["default"]);
        component.secrets = vec![secret.to_owned()];
        component.spec.environment.insert("PASSWORD".into(), Some(format!("{secret} and more")));
        let content = FileContent::Inline { bytes: format!("password={secret}\n").into_bytes() };
        component.files.push(HostFile { target: "/f".into(), content, uid: 0, gid: 0, mode: 0o444 });
        component
    }

    #[test]
    fn a_secret_changes_it_without_being_told_by_it() {
        assert_ne!(hash(&with_secret("hunter2")), hash(&with_secret("hunter3")));
        // Many values have the same few digits, and the hash can't tell which of them it was.
        let mut seen = std::collections::BTreeMap::new();
        let (one, other) = (0..)
            .map(|n| format!("guess {n}"))
            .find_map(|guess| {
                let digits = secret_digits(&guess);
                seen.insert(digits, guess.clone()).map(|earlier| (earlier, guess))
            })
            .unwrap();
        assert_eq!(hash(&with_secret(&one)), hash(&with_secret(&other)));
    }

    #[test]
    fn another_component_s_secret_is_none_of_its_business() {
        let base = sample::component("web", &["default"]);
        let changed = Component { secrets: vec!["hunter2".into()], ..base.clone() };
        assert_eq!(hash(&base), hash(&changed));
    }

    #[test]
    fn keys_are_sorted_and_spaces_left_out() {
        let mut text = String::new();
        write_value(&serde_json::json!({"b": [1, null], "a": {"z": "\"", "y": true}}), &mut text);
        assert_eq!(text, r#"{"a":{"y":true,"z":"\""},"b":[1,null]}"#);
    }
}
