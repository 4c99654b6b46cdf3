//! A service's mapping.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;

use super::super::diagnostic::Diagnostic;
use super::super::node::{Kind, Node};
use super::super::place::{Place, Spanned};
use super::super::raw::{PullPolicy, Service};
use super::super::raw_parts::{Condition, Dependency, Restart, Ulimit};
use super::super::settings::Hook;
use super::fields::{Fields, Reader};
use crate::names::ServiceName;
use crate::units::parse_duration;

/// Keys that the Compose specification has for services and that aren't read yet.
const UNSUPPORTED: &[&str] = &["credential_spec", "models", "provider", "use_api_socket"];

impl Reader {
    /// The service `name`, whose key stands at `at`.
    pub(super) fn service(&mut self, name: &str, at: &Place, node: &Node) -> Option<Service> {
        let mut fields = Fields::of(self, node, format!("services.{name}"))?;
        let mut service = Service::empty(at.clone());
        // What it extends has been put in before, and the key taken out: here it is only after an error.
        let is_incomplete = fields.take("extends").is_some();
        service.profiles =
            fields.read_or_default(self, "profiles", |reader, node, path| reader.items(node, path, Self::profile));
        self.image_and_command(&mut fields, &mut service);
        self.surroundings(&mut fields, &mut service);
        self.networking(&mut fields, &mut service);
        self.files_and_mounts(&mut fields, &mut service);
        self.life(&mut fields, &mut service);
        self.settings(&mut fields, &mut service);
        // Last: `deploy` says again, or instead, what the others do.
        self.resources(&mut fields, &mut service);
        service.convoke = fields.read_or_default(self, "x-convoke", Self::service_convoke);
        let namespace_at = ["pid", "ipc"].into_iter().find_map(|key| Some(fields.entry(key)?.value.at.clone()));
        add_implied_dependencies(&mut service, namespace_at);
        let is_given = |key: &str| node.get(key).is_some_and(|value| !value.is_null());
        let sourceless = !["image", "build", "provider"].into_iter().any(is_given);
        // An unknown key may be a mistyped `image`.
        if !fields.finish(self, UNSUPPORTED) && sourceless && !is_incomplete {
            let diagnostic = Diagnostic::error(at, format!("service {name:?} has neither an image nor a build"));
            self.out.push(diagnostic.hint("add image: NAME, or build: DIRECTORY"));
        }
        Some(service)
    }

    fn profile(&mut self, node: &Node, path: &str) -> Option<Spanned<String>> {
        let name = self.spanned(node, path)?;
        let valid = name.value.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !valid {
            let message = format!("{path}: {:?} is not a profile", name.value);
            let hint = "it must start with a letter or digit and hold only letters, digits, '.', '_' and '-'";
            self.out.push(Diagnostic::error(&node.at, message).hint(hint));
        }
        valid.then_some(name)
    }

    /// `service[:mode]` or `container:name[:mode]`.
    fn volumes_from(&mut self, node: &Node, path: &str) -> Option<Spanned<String>> {
        let from = self.spanned(node, path)?;
        let parts: Vec<&str> = from.value.split(':').collect();
        let (owner, mode) = match parts.as_slice() {
            ["container", name] => (*name, None),
            ["container", name, mode] => (*name, Some(*mode)),
            [service] => (*service, None),
            [service, mode] => (*service, Some(*mode)),
            _ => ("", None),
        };
        if owner.is_empty() || mode.is_some_and(|mode| !matches!(mode, "ro" | "rw")) {
            let message = format!("{path}: {:?} is not service, service:ro or container:name", from.value);
            self.out.error(&node.at, message);
            return None;
        }
        if parts[0] != "container" {
            self.name::<ServiceName>(owner, &node.at)?;
        }
        Some(from)
    }

    /// A command to run in the container.
    fn hook(&mut self, node: &Node, path: &str) -> Option<Hook> {
        let mut fields = Fields::of(self, node, path)?;
        let command = fields.read(self, "command", Self::command);
        let hook = Hook {
            command: command.map(|command| command.value).unwrap_or_default(),
            user: fields.read(self, "user", |reader, node, path| reader.scalar(node, path).map(str::to_owned)),
            privileged: fields.read_or_default(self, "privileged", Self::boolean_or_false),
            working_dir: fields.read(self, "working_dir", Self::optional),
            environment: fields.take("environment").map_or_else(BTreeMap::new, |environment| {
                let all = self.environment(None, Some(environment), path);
                all.into_iter().filter_map(|(key, value)| Some((key, value.value?))).collect()
            }),
        };
        let is_complete = fields.finish(self, &[]);
        if hook.command.is_empty() {
            if !is_complete {
                self.out.error(&node.at, format!("{path} has no command"));
            }
            return None;
        }
        Some(hook)
    }

    /// `service[:alias]`.
    fn link(&mut self, node: &Node, path: &str) -> Option<Spanned<String>> {
        let link = self.spanned(node, path)?;
        let service = link.value.split(':').next().unwrap_or_default().to_owned();
        self.name::<ServiceName>(&service, &node.at)?;
        Some(link)
    }

    fn image_and_command(&mut self, fields: &mut Fields<'_>, service: &mut Service) {
        service.image = fields.read(self, "image", |reader, node, path| {
            let image = reader.spanned(node, path)?;
            if image.value.contains(char::is_whitespace) {
                reader.out.error(&node.at, format!("{path}: {:?} is not an image name", image.value));
                return None;
            }
            Some(image)
        });
        service.build = fields.read(self, "build", Self::build);
        service.pull_policy = fields.read(self, "pull_policy", Self::pull_policy);
        service.platform = fields.read(self, "platform", Self::optional);
        service.command = fields.read(self, "command", Self::command);
        service.entrypoint = fields.read(self, "entrypoint", Self::command);
        service.init = fields.read_or_default(self, "init", Self::boolean_or_false);
        service.tty = fields.read_or_default(self, "tty", Self::boolean_or_false);
        service.stdin_open = fields.read_or_default(self, "stdin_open", Self::boolean_or_false);
    }

    fn surroundings(&mut self, fields: &mut Fields<'_>, service: &mut Service) {
        let env_file = fields.take("env_file");
        let environment = fields.take("environment");
        service.environment = self.environment(env_file, environment, &fields.path);
        service.user = fields.read(self, "user", |reader, node, path| reader.scalar(node, path).map(str::to_owned));
        service.working_dir = fields.read(self, "working_dir", Self::optional);
        service.hostname = fields.read(self, "hostname", Self::optional);
        service.container_name = fields.read(self, "container_name", Self::container_name);
        let label_file = fields.take("label_file");
        let labels = fields.take("labels");
        service.labels = self.all_labels(label_file, labels, &fields.path);
        service.cap_add = fields.read_or_default(self, "cap_add", Self::strings);
        service.cap_drop = fields.read_or_default(self, "cap_drop", Self::strings);
        service.sysctls = fields.read_or_default(self, "sysctls", Self::labels);
        service.privileged = fields.read_or_default(self, "privileged", Self::boolean_or_false);
        service.security_opt = fields
            .read_or_default(self, "security_opt", |reader, node, path| reader.items(node, path, Self::security_opt));
    }

    fn networking(&mut self, fields: &mut Fields<'_>, service: &mut Service) {
        service.ports = fields.read_or_default(self, "ports", Self::ports);
        service.expose = fields.read_or_default(self, "expose", Self::expose);
        service.links =
            fields.read_or_default(self, "links", |reader, node, path| reader.items(node, path, Self::link));
        service.external_links = fields.read_or_default(self, "external_links", Self::strings);
        service.extra_hosts = fields.read_or_default(self, "extra_hosts", Self::extra_hosts);
        service.networks = fields.read(self, "networks", |reader, node, path| Some(reader.attachments(node, path)));
        service.network_mode = fields.read(self, "network_mode", |reader, node, path| {
            let mode = reader.spanned(node, path)?;
            if let Some(("service", other)) = mode.value.split_once(':') {
                reader.name::<ServiceName>(other, &node.at)?;
            }
            Some(mode)
        });
        if let (Some(mode), Some(_)) = (&service.network_mode, &service.networks) {
            let message = format!("{} has both network_mode and networks", fields.path);
            self.out.push(Diagnostic::error(&mode.at, message).hint("remove one of them"));
        }
    }

    fn files_and_mounts(&mut self, fields: &mut Fields<'_>, service: &mut Service) {
        service.mounts = fields.read_or_default(self, "volumes", Self::mounts);
        service.mounts.extend(fields.read_or_default(self, "tmpfs", Self::tmpfs));
        self.check_mount_targets(&service.mounts);
        service.volumes_from = fields
            .read_or_default(self, "volumes_from", |reader, node, path| reader.items(node, path, Self::volumes_from));
        service.configs = fields.read_or_default(self, "configs", Self::file_refs);
        service.secrets = fields.read_or_default(self, "secrets", Self::file_refs);
        service.read_only = fields.read(self, "read_only", |reader, node, path| {
            Some(Spanned::new(reader.boolean(node, path)?, node.at.clone()))
        });
    }

    fn resources(&mut self, fields: &mut Fields<'_>, service: &mut Service) {
        service.ulimits = fields.read_or_default(self, "ulimits", Self::ulimits);
        service.shm_size = fields.read(self, "shm_size", Self::size);
        service.mem_limit = fields.read(self, "mem_limit", Self::size);
        let scale = fields.read(self, "scale", Self::count);
        let replicas = fields.take("deploy").and_then(|deploy| {
            let path = fields.path_of("deploy");
            self.deploy(deploy, &path, service)
        });
        if let (Some(scale), Some(replicas)) = (&scale, &replicas)
            && scale.value != replicas.value
        {
            let message = format!("{} has scale {} and deploy.replicas {}", fields.path, scale.value, replicas.value);
            self.out.push(Diagnostic::error(&scale.at, message).hint("remove one of them"));
        }
        service.scale = scale.or(replicas);
    }

    fn life(&mut self, fields: &mut Fields<'_>, service: &mut Service) {
        service.depends_on = fields.read_or_default(self, "depends_on", Self::depends_on);
        service.healthcheck = fields.read(self, "healthcheck", Self::healthcheck);
        service.restart = fields.read(self, "restart", Self::restart);
        service.stop_signal =
            fields.read(self, "stop_signal", |reader, node, path| reader.scalar(node, path).map(str::to_owned));
        service.stop_grace_period = fields.read(self, "stop_grace_period", Self::duration);
        service.hooks.post_start =
            fields.read_or_default(self, "post_start", |reader, node, path| reader.items(node, path, Self::hook));
        service.hooks.pre_stop =
            fields.read_or_default(self, "pre_stop", |reader, node, path| reader.items(node, path, Self::hook));
    }

    fn boolean_or_false(&mut self, node: &Node, path: &str) -> bool {
        self.boolean(node, path).unwrap_or_default()
    }

    /// A number of containers. More than a thousand are refused: the engine's networks don't take them.
    pub(super) fn count(&mut self, node: &Node, path: &str) -> Option<Spanned<u32>> {
        Some(Spanned::new(self.integer(node, path, 0, 1000)?, node.at.clone()))
    }

    fn pull_policy(&mut self, node: &Node, path: &str) -> Option<PullPolicy> {
        let text = self.string(node, path)?;
        match text.as_str() {
            "always" => Some(PullPolicy::Always),
            "missing" | "if_not_present" => Some(PullPolicy::Missing),
            "never" => Some(PullPolicy::Never),
            "build" => Some(PullPolicy::Build),
            "daily" => Some(PullPolicy::Every(DAY)),
            "weekly" => Some(PullPolicy::Every(7 * DAY)),
            other => {
                let every = other
                    .strip_prefix("every_")
                    .and_then(|every| parse_duration(every).ok())
                    .filter(|every| !every.is_zero());
                if every.is_none() {
                    let diagnostic = Diagnostic::error(&node.at, format!("{path}: {text:?} is not a pull policy"));
                    let hint = "there are always, missing, never, build, daily, weekly and every_12h";
                    self.out.push(diagnostic.hint(hint));
                }
                every.map(PullPolicy::Every)
            }
        }
    }

    fn container_name(&mut self, node: &Node, path: &str) -> Option<Spanned<String>> {
        let name = self.spanned(node, path)?;
        let valid = name.value.len() > 1
            && name.value.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !valid {
            let message = format!("{path}: {:?} is not a container name", name.value);
            let hint = "it must start with a letter or digit and hold only letters, digits, '.', '_' and '-'";
            self.out.push(Diagnostic::error(&node.at, message).hint(hint));
            return None;
        }
        Some(name)
    }

    fn restart(&mut self, node: &Node, path: &str) -> Option<Restart> {
        let text = self.scalar(node, path)?;
        match text.split_once(':').unwrap_or((text, "")) {
            ("no", "") => return Some(Restart::No),
            ("always", "") => return Some(Restart::Always),
            ("unless-stopped", "") => return Some(Restart::UnlessStopped),
            ("on-failure", "") => return Some(Restart::OnFailure { max_retries: 0 }),
            ("on-failure", limit) => {
                if let Ok(max_retries) = limit.parse() {
                    return Some(Restart::OnFailure { max_retries });
                }
            }
            _ => {}
        }
        let diagnostic = Diagnostic::error(&node.at, format!("{path}: {text:?} is not a restart policy"));
        self.out.push(diagnostic.hint("there are no, always, unless-stopped, on-failure and on-failure:TIMES"));
        None
    }

    pub(super) fn ulimits(&mut self, node: &Node, path: &str) -> IndexMap<String, Ulimit> {
        let Some(map) = self.map(node, path) else { return IndexMap::new() };
        let mut limits = IndexMap::new();
        for (name, entry) in map {
            let path = format!("{path}.{name}");
            if let Some(limit) = self.ulimit(&entry.value, &path) {
                limits.insert(name.clone(), limit);
            }
        }
        limits
    }

    fn ulimit(&mut self, node: &Node, path: &str) -> Option<Ulimit> {
        let limit = |reader: &mut Self, node: &Node, path: &str| reader.integer(node, path, -1, i64::MAX);
        if let Kind::Scalar(_) = &node.kind {
            let both = limit(self, node, path)?;
            return Some(Ulimit { soft: both, hard: both });
        }
        let mut fields = Fields::of(self, node, path)?;
        let soft = fields.read(self, "soft", limit);
        let hard = fields.read(self, "hard", limit);
        if fields.take("soft").is_none() || fields.take("hard").is_none() {
            self.out.error(&node.at, format!("{path} needs both soft and hard, or one number for both"));
        }
        fields.finish(self, &[]);
        Some(Ulimit { soft: soft?, hard: hard? })
    }
}

/// What a service's other keys say about what it needs to run.
fn add_implied_dependencies(service: &mut Service, namespace_at: Option<Place>) {
    let mode = service.network_mode.as_ref().map(|mode| mode.at.clone());
    let volumes = service.volumes_from.first().map(|from| from.at.clone());
    let shared_at = mode.or(namespace_at).or(volumes).unwrap_or_else(|| service.at.clone());
    let shared: Vec<(String, Place)> =
        service.shares_with().map(|other| (other.to_owned(), shared_at.clone())).collect();
    let link = |link: &Spanned<String>| (link.value.split(':').next().unwrap_or_default().to_owned(), link.at.clone());
    let links: Vec<(String, Place)> = service.links.iter().map(link).collect();
    for (other, at) in shared.into_iter().chain(links) {
        let dependency = Dependency { at, condition: Condition::Started, required: true, restart: true };
        if let Ok(other) = other.parse() {
            service.depends_on.entry(other).or_insert(dependency);
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
