//! What may stand where in a Compose file, and how it is written in the canonical form. Keys are in the order in which
//! they are printed.

use super::parts;
use crate::compose::node::Node;

/// How a value is written in the canonical form.
#[derive(Clone, Copy)]
pub(in crate::compose) enum Shape {
    /// As it is.
    Any,
    /// A string, whatever it looks like.
    Text,
    /// A boolean.
    Bool,
    /// A boolean that says nothing when it is false.
    Flag,
    /// A whole number.
    Int,
    /// A number.
    Number,
    /// A duration in Go's notation.
    Duration,
    /// A number of bytes, as a string.
    Size,
    /// Permission bits as octal text.
    Mode,
    /// Permission bits as a decimal number.
    Bits,
    /// A list; a single value is a list of one.
    List(&'static Shape),
    /// A mapping with any keys.
    Map(&'static Shape),
    /// A mapping of strings; a list of `key=value` is one too. A missing value stays missing.
    Pairs,
    /// The same; a missing value is empty.
    Labels,
    /// A mapping with these keys.
    Fields(&'static [Field]),
    /// The same; a string is a mapping with the first key.
    Short(&'static str, &'static [Field]),
    /// A mapping with any keys; a list of names is one with empty values.
    Names(&'static Shape),
    /// Something with a short form of its own: first made long, then written in the shape.
    Long(fn(&Node) -> Node, &'static Shape),
}

/// A key and how its value is written.
pub(in crate::compose) type Field = (&'static str, Shape);

use Shape::{
    Any, Bits, Bool, Duration, Fields, Flag, Int, Labels, List, Long, Map, Mode, Names, Number, Pairs, Short, Size,
    Text,
};

const TEXTS: Shape = List(&Text);
const GPUS: Shape = Fields(&[
    ("capabilities", TEXTS),
    ("driver", Text),
    ("count", Long(parts::count, &Int)),
    ("device_ids", TEXTS),
    ("options", Labels),
]);
const ULIMIT: Shape = Long(parts::ulimit, &Fields(&[("soft", Int), ("hard", Int)]));
const FILE: Shape = Fields(&[("source", Text), ("target", Text), ("uid", Text), ("gid", Text), ("mode", Mode)]);
const HOOK: Shape = Fields(&[
    ("command", Long(parts::words, &TEXTS)),
    ("user", Text),
    ("privileged", Flag),
    ("working_dir", Text),
    ("environment", Pairs),
]);
const WEIGHTS: Shape = List(&Fields(&[("path", Text), ("weight", Int)]));
const RATES: Shape = List(&Fields(&[("path", Text), ("rate", Size)]));

const BUILD: &[Field] = &[
    ("context", Text),
    ("dockerfile", Text),
    ("dockerfile_inline", Text),
    ("entitlements", TEXTS),
    ("args", Pairs),
    ("provenance", Text),
    ("sbom", Text),
    ("ssh", Long(parts::ssh, &TEXTS)),
    ("labels", Labels),
    ("cache_from", TEXTS),
    ("cache_to", TEXTS),
    ("no_cache", Flag),
    ("no_cache_filter", TEXTS),
    ("additional_contexts", Labels),
    ("pull", Flag),
    ("extra_hosts", Long(parts::hosts, &TEXTS)),
    ("isolation", Text),
    ("network", Text),
    ("target", Text),
    ("secrets", List(&Long(parts::config, &FILE))),
    ("shm_size", Size),
    ("tags", TEXTS),
    ("ulimits", Map(&ULIMIT)),
    ("platforms", TEXTS),
    ("privileged", Flag),
];

const LIMITS: &[Field] =
    &[("cpus", Number), ("memory", Size), ("pids", Int), ("devices", List(&GPUS)), ("generic_resources", Any)];
const UPDATE: Shape = Fields(&[
    ("parallelism", Int),
    ("delay", Duration),
    ("failure_action", Text),
    ("monitor", Duration),
    ("max_failure_ratio", Number),
    ("order", Text),
]);

const DEPLOY: &[Field] = &[
    ("mode", Text),
    ("replicas", Int),
    ("labels", Labels),
    ("update_config", UPDATE),
    ("rollback_config", UPDATE),
    ("resources", Fields(&[("limits", Fields(LIMITS)), ("reservations", Fields(LIMITS))])),
    (
        "restart_policy",
        Fields(&[("condition", Text), ("delay", Duration), ("max_attempts", Int), ("window", Duration)]),
    ),
    (
        "placement",
        Fields(&[
            ("constraints", TEXTS),
            ("preferences", List(&Fields(&[("spread", Text)]))),
            ("max_replicas_per_node", Int),
        ]),
    ),
    ("endpoint_mode", Text),
];

const ATTACHMENT: &[Field] = &[
    ("priority", Int),
    ("gw_priority", Int),
    ("aliases", TEXTS),
    ("interface_name", Text),
    ("ipv4_address", Text),
    ("ipv6_address", Text),
    ("link_local_ips", TEXTS),
    ("mac_address", Text),
    ("driver_opts", Labels),
];

const MOUNT: &[Field] = &[
    ("type", Text),
    ("source", Text),
    ("target", Text),
    ("read_only", Flag),
    ("consistency", Text),
    ("bind", Fields(&[("selinux", Text), ("propagation", Text), ("create_host_path", Flag), ("recursive", Text)])),
    ("volume", Fields(&[("labels", Labels), ("nocopy", Flag), ("subpath", Text)])),
    ("tmpfs", Fields(&[("size", Size), ("mode", Bits)])),
    ("image", Fields(&[("subpath", Text)])),
];

/// The keys of a service.
pub(in crate::compose) const SERVICE: &[Field] = &[
    ("profiles", TEXTS),
    ("annotations", Labels),
    ("attach", Bool),
    ("build", Long(parts::build, &Short("context", BUILD))),
    (
        "develop",
        Fields(&[(
            "watch",
            List(&Fields(&[
                ("path", Text),
                ("action", Text),
                ("target", Text),
                ("exec", HOOK),
                ("include", TEXTS),
                ("ignore", TEXTS),
                ("initial_sync", Flag),
            ])),
        )]),
    ),
    (
        "blkio_config",
        Fields(&[
            ("weight", Int),
            ("weight_device", WEIGHTS),
            ("device_read_bps", RATES),
            ("device_read_iops", RATES),
            ("device_write_bps", RATES),
            ("device_write_iops", RATES),
        ]),
    ),
    ("cap_add", TEXTS),
    ("cap_drop", TEXTS),
    ("cgroup_parent", Text),
    ("cgroup", Text),
    ("cpu_count", Int),
    ("cpu_percent", Number),
    ("cpu_period", Int),
    ("cpu_quota", Int),
    ("cpu_rt_period", Int),
    ("cpu_rt_runtime", Int),
    ("cpus", Number),
    ("cpuset", Text),
    ("cpu_shares", Int),
    ("command", Long(parts::words, &TEXTS)),
    ("configs", List(&Long(parts::config, &FILE))),
    ("container_name", Text),
    ("credential_spec", Fields(&[("config", Text), ("file", Text), ("registry", Text)])),
    (
        "depends_on",
        Names(&Long(parts::dependency, &Fields(&[("condition", Text), ("restart", Flag), ("required", Bool)]))),
    ),
    ("deploy", Fields(DEPLOY)),
    ("device_cgroup_rules", TEXTS),
    ("devices", List(&Long(parts::device, &Fields(&[("source", Text), ("target", Text), ("permissions", Text)])))),
    ("dns", TEXTS),
    ("dns_opt", TEXTS),
    ("dns_search", TEXTS),
    ("domainname", Text),
    ("entrypoint", Long(parts::words, &TEXTS)),
    ("environment", Pairs),
    ("env_file", List(&Short("path", &[("path", Text), ("required", Bool), ("format", Text)]))),
    ("expose", TEXTS),
    ("external_links", TEXTS),
    ("extra_hosts", Long(parts::hosts, &TEXTS)),
    ("group_add", TEXTS),
    ("gpus", Long(parts::gpus, &List(&GPUS))),
    ("hostname", Text),
    (
        "healthcheck",
        Fields(&[
            ("test", Long(parts::health_test, &TEXTS)),
            ("timeout", Duration),
            ("interval", Duration),
            ("retries", Int),
            ("start_period", Duration),
            ("start_interval", Duration),
            ("disable", Flag),
        ]),
    ),
    ("image", Text),
    ("init", Bool),
    ("ipc", Text),
    ("isolation", Text),
    ("labels", Labels),
    ("label_file", TEXTS),
    ("links", TEXTS),
    ("logging", Fields(&[("driver", Text), ("options", Labels)])),
    ("mem_limit", Size),
    ("mem_reservation", Size),
    ("memswap_limit", Size),
    ("mem_swappiness", Size),
    ("mac_address", Text),
    ("models", Names(&Any)),
    ("network_mode", Text),
    ("networks", Names(&Fields(ATTACHMENT))),
    ("oom_kill_disable", Flag),
    ("oom_score_adj", Int),
    ("pid", Text),
    ("pids_limit", Int),
    ("platform", Text),
    (
        "ports",
        Long(
            parts::ports,
            &List(&Fields(&[
                ("name", Text),
                ("mode", Text),
                ("host_ip", Text),
                ("target", Int),
                ("published", Text),
                ("protocol", Text),
                ("app_protocol", Text),
            ])),
        ),
    ),
    ("privileged", Flag),
    ("provider", Any),
    ("pull_policy", Long(parts::pull_policy, &Text)),
    ("read_only", Flag),
    ("restart", Text),
    ("runtime", Text),
    ("scale", Int),
    ("secrets", List(&Long(parts::secret, &FILE))),
    ("security_opt", TEXTS),
    ("shm_size", Size),
    ("stdin_open", Flag),
    ("stop_grace_period", Duration),
    ("stop_signal", Text),
    ("storage_opt", Labels),
    ("sysctls", Labels),
    ("tmpfs", TEXTS),
    ("tty", Flag),
    ("ulimits", Map(&ULIMIT)),
    ("use_api_socket", Flag),
    ("user", Text),
    ("userns_mode", Text),
    ("uts", Text),
    ("volumes", List(&Long(parts::mount, &Fields(MOUNT)))),
    ("volumes_from", TEXTS),
    ("working_dir", Text),
    ("post_start", List(&HOOK)),
    ("pre_stop", List(&HOOK)),
];

const IPAM: Shape = Fields(&[
    ("driver", Text),
    ("config", List(&Fields(&[("subnet", Text), ("gateway", Text), ("ip_range", Text), ("aux_addresses", Labels)]))),
    ("options", Labels),
]);

/// The keys of a network.
pub(in crate::compose) const NETWORK: &[Field] = &[
    ("name", Text),
    ("driver", Text),
    ("driver_opts", Labels),
    ("ipam", IPAM),
    ("external", Flag),
    ("internal", Flag),
    ("attachable", Flag),
    ("labels", Labels),
    ("enable_ipv4", Bool),
    ("enable_ipv6", Bool),
];

/// The keys of a volume.
pub(in crate::compose) const VOLUME: &[Field] =
    &[("name", Text), ("driver", Text), ("driver_opts", Labels), ("external", Flag), ("labels", Labels)];

/// The keys of a config or secret.
pub(in crate::compose) const SOURCE: &[Field] = &[
    ("name", Text),
    ("file", Text),
    ("environment", Text),
    ("content", Text),
    ("external", Flag),
    ("labels", Labels),
    ("driver", Text),
    ("driver_opts", Labels),
    ("template_driver", Text),
];
