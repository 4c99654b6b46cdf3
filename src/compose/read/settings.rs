//! Limits, devices, namespaces, name servers, logs: what goes to the engine as it is.

use std::collections::BTreeMap;

use super::super::diagnostic::Diagnostic;
use super::super::node::{Kind, Node};
use super::super::place::Spanned;
use super::super::raw::Service;
use super::super::raw_parts::Restart;
use super::super::settings::{Blkio, Device, DeviceRequest, Logging, Settings};
use super::fields::{Fields, Reader};
use crate::names::ServiceName;

impl Reader {
    /// The keys of a service that go to the engine as they are.
    pub(super) fn settings(&mut self, fields: &mut Fields<'_>, service: &mut Service) {
        self.names_and_namespaces(fields, &mut service.settings);
        self.processors(fields, &mut service.settings);
        self.memory(fields, &mut service.settings);
        self.devices_and_logs(fields, &mut service.settings);
        // Means something only to programs that show a cluster's output while it runs.
        fields.read(self, "attach", Self::boolean);
        if let Some(develop) = fields.entry("develop").filter(|develop| !develop.value.is_null()) {
            self.ignored(&develop.key, &fields.path_of("develop"), "convoke doesn't watch files");
        }
    }

    fn names_and_namespaces(&mut self, fields: &mut Fields<'_>, settings: &mut Settings) {
        settings.domainname = fields.read(self, "domainname", Self::optional);
        settings.dns = fields.read_or_default(self, "dns", Self::string_or_list);
        settings.dns_opt = fields.read_or_default(self, "dns_opt", Self::string_or_list);
        settings.dns_search = fields.read_or_default(self, "dns_search", Self::string_or_list);
        settings.mac_address = fields.read(self, "mac_address", Self::optional);
        settings.group_add = fields.read_or_default(self, "group_add", Self::scalars);
        settings.pid = fields.read(self, "pid", Self::namespace);
        settings.ipc = fields.read(self, "ipc", Self::namespace);
        settings.uts = fields.read(self, "uts", Self::host_names);
        settings.userns_mode = fields.read(self, "userns_mode", Self::optional);
        settings.cgroup = fields.read(self, "cgroup", |reader, node, path| {
            let mode = reader.optional(node, path)?;
            if !matches!(mode.as_str(), "host" | "private") {
                reader.out.error(&node.at, format!("{path} must be \"host\" or \"private\", but it is {mode:?}"));
                return None;
            }
            Some(mode)
        });
        settings.cgroup_parent = fields.read(self, "cgroup_parent", Self::optional);
        settings.annotations = fields.read_or_default(self, "annotations", Self::sorted_labels);
        settings.storage_opt = fields.read_or_default(self, "storage_opt", Self::sorted_labels);
        settings.runtime = fields.read(self, "runtime", Self::optional);
        settings.isolation = fields.read(self, "isolation", Self::optional);
    }

    fn processors(&mut self, fields: &mut Fields<'_>, settings: &mut Settings) {
        let whole = |reader: &mut Self, node: &Node, path: &str| reader.integer(node, path, 0, i64::MAX);
        settings.nano_cpus = fields.read(self, "cpus", Self::cpus);
        settings.cpu_count = fields.read(self, "cpu_count", whole);
        settings.cpu_percent =
            fields.read(self, "cpu_percent", |reader, node, path| reader.integer(node, path, 0, 100));
        settings.cpu_period = fields.read(self, "cpu_period", Self::micros);
        settings.cpu_quota = fields.read(self, "cpu_quota", Self::micros);
        settings.cpu_rt_period = fields.read(self, "cpu_rt_period", Self::micros);
        settings.cpu_rt_runtime = fields.read(self, "cpu_rt_runtime", Self::micros);
        settings.cpu_shares = fields.read(self, "cpu_shares", whole);
        settings.cpuset =
            fields.read(self, "cpuset", |reader, node, path| reader.scalar(node, path).map(str::to_owned));
    }

    fn memory(&mut self, fields: &mut Fields<'_>, settings: &mut Settings) {
        settings.mem_reservation = fields.read(self, "mem_reservation", Self::signed_size);
        settings.memswap_limit = fields.read(self, "memswap_limit", Self::signed_size);
        settings.mem_swappiness =
            fields.read(self, "mem_swappiness", |reader, node, path| reader.integer(node, path, -1, 100));
        // -1 leaves it to the engine.
        settings.mem_swappiness = settings.mem_swappiness.filter(|percent| *percent >= 0);
        settings.oom_kill_disable = fields.read(self, "oom_kill_disable", Self::boolean).unwrap_or_default();
        settings.oom_score_adj =
            fields.read(self, "oom_score_adj", |reader, node, path| reader.integer(node, path, -1000, 1000));
        settings.pids_limit =
            fields.read(self, "pids_limit", |reader, node, path| reader.integer(node, path, -1, i64::MAX));
    }

    fn devices_and_logs(&mut self, fields: &mut Fields<'_>, settings: &mut Settings) {
        settings.devices =
            fields.read_or_default(self, "devices", |reader, node, path| reader.items(node, path, Self::device));
        settings.device_cgroup_rules = fields.read_or_default(self, "device_cgroup_rules", Self::strings);
        settings.device_requests = fields.read_or_default(self, "gpus", |reader, node, path| match node.as_text() {
            Some("all") => vec![gpus_of(DeviceRequest { count: Some(-1), ..DeviceRequest::default() })],
            _ => reader.items(node, path, Self::device_request).into_iter().map(gpus_of).collect(),
        });
        settings.blkio = fields.read(self, "blkio_config", Self::blkio);
        settings.logging = fields.read(self, "logging", |reader, node, path| {
            let mut fields = Fields::of(reader, node, path)?;
            let driver = fields.read(reader, "driver", Self::filled);
            let options = fields.read_or_default(reader, "options", Self::sorted_labels);
            fields.finish(reader, &[]);
            Some(Logging { driver, options })
        });
    }

    /// `deploy`: what of it makes sense without a Swarm. What the service says itself must be the same.
    pub(super) fn deploy(&mut self, node: &Node, path: &str, service: &mut Service) -> Option<Spanned<u32>> {
        let mut fields = Fields::of(self, node, path)?;
        let replicas = fields.read(self, "replicas", Self::count);
        if let Some(resources) = fields.take("resources") {
            self.resources_of(resources, &format!("{path}.resources"), service);
        }
        if let Some(policy) = fields.take("restart_policy") {
            self.restart_policy(policy, &format!("{path}.restart_policy"), service);
        }
        for key in ["endpoint_mode", "labels", "mode", "placement", "rollback_config", "update_config"] {
            if let Some(entry) = fields.entry(key).filter(|entry| !entry.value.is_null()) {
                self.ignored(&entry.key, &format!("{path}.{key}"), "it is for a Swarm");
            }
        }
        fields.finish(self, &[]);
        replicas
    }

    fn resources_of(&mut self, node: &Node, path: &str, service: &mut Service) {
        let Some(mut fields) = Fields::of(self, node, path) else { return };
        if let Some(node) = fields.take("limits") {
            let path = format!("{path}.limits");
            let Some(mut fields) = Fields::of(self, node, path.as_str()) else { return };
            let cpus = fields.read(self, "cpus", Self::cpus);
            self.agree(&mut service.settings.nano_cpus, cpus, node, &format!("{path}.cpus"), "cpus");
            let memory = fields.read(self, "memory", Self::size);
            self.agree(&mut service.mem_limit, memory, node, &format!("{path}.memory"), "mem_limit");
            let pids = fields.read(self, "pids", |reader, node, path| reader.integer(node, path, -1, i64::MAX));
            self.agree(&mut service.settings.pids_limit, pids, node, &format!("{path}.pids"), "pids_limit");
            fields.finish(self, &["devices", "generic_resources"]);
        }
        if let Some(node) = fields.take("reservations") {
            let path = format!("{path}.reservations");
            let Some(mut fields) = Fields::of(self, node, path.as_str()) else { return };
            let memory = fields.read(self, "memory", Self::signed_size);
            let reservation = &mut service.settings.mem_reservation;
            self.agree(reservation, memory, node, &format!("{path}.memory"), "mem_reservation");
            let devices = fields
                .read_or_default(self, "devices", |reader, node, path| reader.items(node, path, Self::device_request));
            service.settings.device_requests.extend(devices);
            for key in ["cpus", "generic_resources", "pids"] {
                if let Some(entry) = fields.entry(key).filter(|entry| !entry.value.is_null()) {
                    self.ignored(&entry.key, &format!("{path}.{key}"), "an engine without a Swarm reserves nothing");
                }
            }
            fields.finish(self, &[]);
        }
        fields.finish(self, &[]);
    }

    /// Takes a value that may also be said elsewhere; both must be the same.
    fn agree<T: PartialEq>(&mut self, own: &mut Option<T>, deployed: Option<T>, node: &Node, path: &str, key: &str) {
        match (&own, deployed) {
            (_, None) => {}
            (None, deployed) => *own = deployed,
            (Some(there), Some(deployed)) if *there == deployed => {}
            _ => {
                let diagnostic = Diagnostic::error(&node.at, format!("{path} and {key} differ"));
                self.out.push(diagnostic.hint("remove one of them"));
            }
        }
    }

    fn restart_policy(&mut self, node: &Node, path: &str, service: &mut Service) {
        let Some(mut fields) = Fields::of(self, node, path) else { return };
        let condition = fields.read(self, "condition", Self::string);
        let attempts = fields.read(self, "max_attempts", |reader, node, path| reader.integer(node, path, 0, u32::MAX));
        for key in ["delay", "window"] {
            if let Some(node) = fields.take(key) {
                self.duration(node, &format!("{path}.{key}"));
                self.ignored(&node.at, &format!("{path}.{key}"), "the engine chooses its own pauses");
            }
        }
        fields.finish(self, &[]);
        let policy = match condition.as_deref() {
            Some("none") => Restart::No,
            Some("on-failure") => Restart::OnFailure { max_retries: attempts.unwrap_or_default() },
            None | Some("any" | "always") => Restart::Always,
            Some("unless-stopped") => Restart::UnlessStopped,
            Some(other) => {
                let diagnostic = Diagnostic::error(&node.at, format!("{path}: {other:?} is not a condition"));
                self.out.push(diagnostic.hint("there are none, on-failure and any"));
                return;
            }
        };
        // `restart` is what containers are restarted by; this is what it means where that is missing.
        service.restart.get_or_insert(policy);
    }

    /// Says that a key has no effect, and why.
    pub(super) fn ignored(&mut self, at: &super::super::place::Place, path: &str, why: &str) {
        self.out.push(Diagnostic::warning(at, format!("{path} is ignored")).hint(why));
    }

    /// `host` and the like, `service:NAME` or `container:NAME`.
    fn namespace(&mut self, node: &Node, path: &str) -> Option<String> {
        let mode = self.optional(node, path)?;
        if let Some(("service", other)) = mode.split_once(':') {
            self.name::<ServiceName>(other, &node.at)?;
        }
        Some(mode)
    }

    /// The engine knows its own host names, or the host's.
    fn host_names(&mut self, node: &Node, path: &str) -> Option<String> {
        let mode = self.optional(node, path)?;
        if mode != "host" {
            let diagnostic = Diagnostic::error(&node.at, format!("{path} must be \"host\", but it is {mode:?}"));
            self.out.push(diagnostic.hint("engines share host names with the host only"));
            return None;
        }
        Some(mode)
    }

    /// A number of processors, in billionths of one.
    fn cpus(&mut self, node: &Node, path: &str) -> Option<i64> {
        let number = self.scalar(node, path)?.trim().parse::<f64>().ok();
        let nanos = number.filter(|n| *n >= 0.0 && *n < 1e6).map(|n| (n * 1e9).round());
        let Some(nanos) = nanos else {
            self.wrong_type(node, path, "a number of processors such as 1.5");
            return None;
        };
        #[expect(clippy::cast_possible_truncation, reason = "checked above: less than 10^15")]
        Some(nanos as i64)
    }

    /// Microseconds as a number, or a duration.
    fn micros(&mut self, node: &Node, path: &str) -> Option<i64> {
        if let Some(number) = node.as_text().and_then(|text| text.trim().parse::<i64>().ok()) {
            return Some(number);
        }
        let duration = self.duration(node, path)?;
        i64::try_from(duration.as_micros()).ok()
    }

    /// A size in bytes, or -1 for no limit.
    fn signed_size(&mut self, node: &Node, path: &str) -> Option<i64> {
        if node.as_text() == Some("-1") {
            return Some(-1);
        }
        self.size(node, path).and_then(|size| i64::try_from(size.0).ok())
    }

    /// A list of strings and numbers.
    fn scalars(&mut self, node: &Node, path: &str) -> Vec<String> {
        self.items(node, path, |reader, node, path| reader.scalar(node, path).map(str::to_owned))
    }

    pub(super) fn sorted_labels(&mut self, node: &Node, path: &str) -> BTreeMap<String, String> {
        self.labels(node, path).into_iter().collect()
    }

    fn device(&mut self, node: &Node, path: &str) -> Option<Device> {
        let (source, target, permissions) = if let Kind::Map(_) = &node.kind {
            let mut fields = Fields::of(self, node, path)?;
            let source = fields.read(self, "source", Self::filled);
            let target = fields.read(self, "target", Self::filled);
            let permissions = fields.read(self, "permissions", Self::filled);
            fields.finish(self, &[]);
            (source, target, permissions)
        } else {
            let text = self.filled(node, path)?;
            let mut parts = text.splitn(3, ':').map(str::to_owned);
            (parts.next(), parts.next().filter(|target| !target.is_empty()), parts.next())
        };
        let Some(source) = source else {
            self.out.error(&node.at, format!("{path} has no source"));
            return None;
        };
        let permissions = permissions.unwrap_or_else(|| "rwm".to_owned());
        if permissions.is_empty() || !permissions.chars().all(|c| "rwm".contains(c)) {
            let diagnostic = Diagnostic::error(&node.at, format!("{path}: {permissions:?} are no permissions"));
            self.out.push(diagnostic.hint("write source[:target[:permissions]] with some of r, w and m"));
            return None;
        }
        Some(Device { target: target.unwrap_or_else(|| source.clone()), source, permissions })
    }

    fn device_request(&mut self, node: &Node, path: &str) -> Option<DeviceRequest> {
        let mut fields = Fields::of(self, node, path)?;
        let request = DeviceRequest {
            driver: fields.read(self, "driver", Self::filled),
            count: fields.read(self, "count", |reader, node, path| match node.as_text() {
                Some("all") => Some(-1),
                _ => reader.integer(node, path, -1, 1_000_000),
            }),
            device_ids: fields.read_or_default(self, "device_ids", Self::scalars),
            capabilities: fields.read_or_default(self, "capabilities", Self::strings),
            options: fields.read_or_default(self, "options", Self::sorted_labels),
        };
        fields.finish(self, &[]);
        if request.count.is_some() && !request.device_ids.is_empty() {
            let diagnostic = Diagnostic::error(&node.at, format!("{path} has both count and device_ids"));
            self.out.push(diagnostic.hint("remove one of them"));
        }
        Some(request)
    }

    fn blkio(&mut self, node: &Node, path: &str) -> Option<Blkio> {
        let mut fields = Fields::of(self, node, path)?;
        let weight = |reader: &mut Self, node: &Node, path: &str| reader.integer(node, path, 0, 1000);
        let rate = |reader: &mut Self, node: &Node, path: &str| reader.signed_size(node, path);
        let blkio = Blkio {
            weight: fields.read(self, "weight", weight),
            weight_device: fields.read_or_default(self, "weight_device", |reader, node, path| {
                reader.items(node, path, |reader, node, path| reader.of_device(node, path, "weight", weight))
            }),
            device_read_bps: fields.read_or_default(self, "device_read_bps", |reader, node, path| {
                reader.items(node, path, |reader, node, path| reader.of_device(node, path, "rate", rate))
            }),
            device_read_iops: fields.read_or_default(self, "device_read_iops", |reader, node, path| {
                reader.items(node, path, |reader, node, path| reader.of_device(node, path, "rate", rate))
            }),
            device_write_bps: fields.read_or_default(self, "device_write_bps", |reader, node, path| {
                reader.items(node, path, |reader, node, path| reader.of_device(node, path, "rate", rate))
            }),
            device_write_iops: fields.read_or_default(self, "device_write_iops", |reader, node, path| {
                reader.items(node, path, |reader, node, path| reader.of_device(node, path, "rate", rate))
            }),
        };
        fields.finish(self, &[]);
        Some(blkio)
    }

    /// A device's path and a number about it.
    fn of_device<T>(
        &mut self,
        node: &Node,
        path: &str,
        key: &'static str,
        read: impl FnOnce(&mut Self, &Node, &str) -> Option<T>,
    ) -> Option<(String, T)> {
        let mut fields = Fields::of(self, node, path)?;
        let device = fields.read(self, "path", Self::filled);
        let value = fields.read(self, key, read);
        for needed in ["path", key] {
            if fields.take(needed).is_none() {
                self.out.error(&node.at, format!("{path} has no {needed}"));
            }
        }
        fields.finish(self, &[]);
        Some((device?, value?))
    }
}

/// A request of `gpus` asks for graphics processors, whatever else it asks for.
fn gpus_of(mut request: DeviceRequest) -> DeviceRequest {
    if !request.capabilities.iter().any(|capability| capability == "gpu") {
        request.capabilities.push("gpu".to_owned());
    }
    if request.count.is_none() && request.device_ids.is_empty() {
        request.count = Some(-1);
    }
    request
}
