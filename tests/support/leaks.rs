//! What a cluster leaves behind.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use super::Api;
use super::http::{Ender, Lines};

/// Watches one cluster. Other tests work on the same engine, so what is there before and after can't be compared as a
/// whole: things are told by label and by name, and anonymous volumes by having been seen in one of the containers. Each
/// of these is looked at as soon as the engine tells of it, however short it lives.
pub(crate) struct Leaks {
    cluster: String,
    api: Api,
    anonymous: Arc<Mutex<BTreeSet<String>>>,
    ender: Ender,
    watching: Option<JoinHandle<()>>,
}

impl Leaks {
    pub(crate) fn of(cluster: &str) -> Self {
        let api = Api::new();
        let label = format!("convoke.cluster={cluster}");
        let (lines, ender) = api.events(&format!(r#"{{"type":["container"],"event":["create"],"label":["{label}"]}}"#));
        let anonymous = Arc::<Mutex<BTreeSet<String>>>::default();
        let into = anonymous.clone();
        let watching = Some(std::thread::spawn(move || watch(lines, &Api::new(), &into)));
        Self { cluster: cluster.to_owned(), api, anonymous, ender, watching }
    }

    /// Notes the volumes that the cluster's containers have now.
    pub(crate) fn remember(&self) {
        let containers = self.api.list("/containers/json", &self.label());
        for container in containers.as_array().unwrap() {
            note(container, &self.anonymous);
        }
    }

    /// What is left, for people.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (what, path) in [("container", "/containers/json"), ("network", "/networks")] {
            let found = self.api.list(path, &self.label());
            left.extend(found.as_array().unwrap().iter().map(|one| format!("{what} {}", name_of(one))));
        }
        let volumes = self.api.list("/volumes", &self.label());
        let volumes = volumes["Volumes"].as_array().cloned().unwrap_or_default();
        left.extend(volumes.iter().map(|one| format!("volume {}", name_of(one))));
        for name in self.anonymous.lock().unwrap().iter() {
            if self.api.status(&format!("/volumes/{name}")) == 200 {
                left.push(format!("anonymous volume {name}"));
            }
        }
        left.extend(self.by_name());
        left
    }

    /// Things under the cluster's names that lack its label.
    fn by_name(&self) -> Vec<String> {
        let containers = self.api.get("/containers/json?all=1");
        let networks = self.api.get("/networks");
        let all = containers.as_array().into_iter().chain(networks.as_array()).flatten().map(name_of);
        all.filter(|name| self.is_ours(name)).collect()
    }

    /// A container of a replacement that was cut short is called `0123456789ab_cluster-web-1`.
    fn is_ours(&self, name: &str) -> bool {
        let after = name.split_once('_').map_or("", |(_, after)| after);
        let begins = |name: &str| name.strip_prefix(&self.cluster).is_some_and(|rest| rest.starts_with(['-', '_']));
        begins(name) || begins(after)
    }

    fn label(&self) -> String {
        format!("convoke.cluster={}", self.cluster)
    }
}

impl Drop for Leaks {
    fn drop(&mut self) {
        self.ender.end();
        if let Some(watching) = self.watching.take() {
            // One that panicked has said so; a second panic would end the program.
            _ = watching.join();
        }
    }
}

/// Looks at every container that is made.
fn watch(mut lines: Lines, api: &Api, anonymous: &Mutex<BTreeSet<String>>) {
    while let Some(line) = lines.next() {
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(id) = event["Actor"]["ID"].as_str() else { continue };
        // It may be gone again, and its volumes with it or not: no program is as quick as that.
        if let Some(container) = api.find(&format!("/containers/{id}/json")) {
            note(&container, anonymous);
        }
    }
}

/// Notes the anonymous volumes of a container, as a list or an inspection shows it.
fn note(container: &Value, anonymous: &Mutex<BTreeSet<String>>) {
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    let volumes = mounts.filter(|mount| mount["Type"] == "volume").filter_map(|mount| text(&mount["Name"]));
    anonymous.lock().unwrap().extend(volumes.filter(|name| is_anonymous(name)));
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The engine names anonymous volumes by 64 hexadecimal digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name_of(one: &Value) -> String {
    let name = text(&one["Name"]).or_else(|| text(&one["Names"][0])).unwrap_or_default();
    name.trim_start_matches('/').to_owned()
}
