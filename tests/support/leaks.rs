//! What a cluster leaves behind.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::Api;

/// Watches one cluster. Other tests work on the same engine, so what is there before and after can't be compared as a
/// whole: things are told by label and by name, and anonymous volumes by having been seen in one of the containers.
pub(crate) struct Leaks {
    cluster: String,
    api: Api,
    anonymous: RefCell<BTreeSet<String>>,
}

impl Leaks {
    pub(crate) fn of(cluster: &str) -> Self {
        Self { cluster: cluster.to_owned(), api: Api::new(), anonymous: RefCell::default() }
    }

    /// Notes the volumes that the cluster's containers have now.
    pub(crate) fn remember(&self) {
        let containers = self.api.list("/containers/json", &self.label());
        let mounts = containers.as_array().unwrap().iter().flat_map(|container| container["Mounts"].as_array());
        let volumes =
            mounts.flatten().filter(|mount| mount["Type"] == "volume").filter_map(|mount| text(&mount["Name"]));
        self.anonymous.borrow_mut().extend(volumes.filter(|name| is_anonymous(name)));
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
        for name in self.anonymous.borrow().iter() {
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
