//! What an answer of the engine means: status and text to a class of failure.
//!
//! The status alone says little: 20.10 answers 500 for a taken host port, 403 for a taken container address and 400
//! for a missing program. So the text decides first, and the status where the text says nothing.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use bollard::errors::Error;

use crate::engine::{EngineError, ErrorKind, Resource, Result, Verb};

/// Time limit of calls that do work in the engine. A start is slow under load: 4 s were measured with fifty at once.
pub(super) const WORK: Duration = Duration::from_secs(60);
/// Time limit of questions that a healthy engine answers in milliseconds.
pub(super) const QUESTION: Duration = Duration::from_secs(5);

/// Runs a call under a time limit and tells its failure with the verb.
pub(super) async fn within<T>(
    limit: Duration,
    verb: Verb,
    call: impl Future<Output = std::result::Result<T, Error>>,
) -> Result<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(explain(verb, error)),
        Err(_) => Err(timed_out(verb, limit)),
    }
}

/// The engine gave no answer in time.
pub(super) fn timed_out(verb: Verb, limit: Duration) -> EngineError {
    let message = format!("no answer from the engine within {}", crate::units::human(limit));
    EngineError { verb, kind: ErrorKind::Timeout(limit), message }
}

/// A failure of convoke's own side: the request can't be made.
pub(super) fn refused(verb: Verb, message: impl Into<String>) -> EngineError {
    EngineError { verb, kind: ErrorKind::Rejected, message: message.into() }
}

/// Tells a failure of the client or the engine with the verb.
pub(super) fn explain(verb: Verb, error: Error) -> EngineError {
    let (kind, message) = match error {
        Error::DockerResponseServerError { status_code, message } => {
            let message = if message.is_empty() { format!("status {status_code}") } else { message };
            (kind_of_answer(&verb, status_code, &message), message)
        }
        Error::DockerStreamError { error } => (kind_of_stream(&verb, &error), error),
        Error::RequestTimeoutError => {
            let kind = ErrorKind::Timeout(super::connect::CLIENT_LIMIT);
            (kind, "no answer from the engine".to_owned())
        }
        Error::HttpClientError { .. }
        | Error::URLEncodedError { .. }
        | Error::URLParseError { .. }
        | Error::InvalidURIError { .. }
        | Error::InvalidURIPartsError { .. }
        | Error::UnsupportedURISchemeError { .. } => (ErrorKind::Rejected, chain(&error)),
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } | Error::StrParseError { .. } => {
            (ErrorKind::Internal, format!("the answer can't be read: {}", chain(&error)))
        }
        Error::IOError { .. } | Error::HyperResponseError { .. } | Error::HyperLegacyError { .. } => {
            (ErrorKind::Unreachable, root_cause(&error))
        }
        Error::SocketNotFoundError(path) => (ErrorKind::Unreachable, format!("there is no socket {path}")),
        other => (ErrorKind::Internal, chain(&other)),
    };
    EngineError { verb, kind, message }
}

/// The error and what caused it, in one line; bollard's own texts leave the cause out.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// What is at the bottom of a failed connection; the layers above it name the client's parts only.
fn root_cause(error: &Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

/// The class of an answer with a status.
pub(super) fn kind_of_answer(verb: &Verb, status: u16, message: &str) -> ErrorKind {
    let text = message.to_lowercase();
    if let Some(kind) = kind_of_text(&text) {
        return kind;
    }
    match status {
        404 if matches!(verb, Verb::Pull(_) | Verb::Build(_)) || text.contains("no such image") => {
            ErrorKind::ImageMissing
        }
        404 => ErrorKind::NotFound,
        401 | 403 | 500 if matches!(verb, Verb::Pull(_)) => kind_of_stream(verb, message),
        409 if text.contains("in use by container") || text.contains("already exists") => ErrorKind::NameTaken,
        409 if matches!(verb, Verb::RemoveVolume(_)) => ErrorKind::InUse,
        409 => ErrorKind::Conflict,
        501 => ErrorKind::Rejected,
        500.. => ErrorKind::Internal,
        _ => ErrorKind::Rejected,
    }
}

/// What the text alone says, whatever the status. `text` is in lower case.
fn kind_of_text(text: &str) -> Option<ErrorKind> {
    let has = |part: &str| text.contains(part);
    if let Some(kind) = kind_of_shortage(text) {
        return Some(kind);
    }
    let about_port = has("bind") || has("listen") || has("port") || has("proxy");
    Some(match () {
        () if has("port is already allocated") || has("ports are not available") => ErrorKind::PortTaken,
        () if has("failed to bind host port") || (has("address already in use") && about_port) => ErrorKind::PortTaken,
        () if has("address already in use") => ErrorKind::AddressTaken,
        () if has("pool overlaps") => ErrorKind::PoolOverlaps,
        () if has("no available ipv4 addresses") || has("non-overlapping ipv4 address pool") => {
            ErrorKind::PoolExhausted
        }
        () if has("predefined address pools have been fully subnetted") => ErrorKind::PoolExhausted,
        () if has("has active endpoints") || has("volume is in use") => ErrorKind::InUse,
        // `open /proc/sys/…: no such file` is also "unable to start container process", but not the command's fault.
        () if has("exec: \"") || has("executable file not found") || has("exec format error") => {
            ErrorKind::CommandInvalid
        }
        // Two networks of one name: it passes when the younger one is removed.
        () if has("is ambiguous") => ErrorKind::Conflict,
        // 20.10 answers 500 for these, though they never pass.
        () if has("unable to find user") || has("unable to find group") => ErrorKind::Rejected,
        // The network was made anew, with another subnet.
        () if has("does not belong to any of") => ErrorKind::AddressTaken,
        () => return None,
    })
}

/// What the kernel has no more of, or refuses. It has few words for it: a full disk, too many watches and too many
/// control groups are all "no space left on device".
fn kind_of_shortage(text: &str) -> Option<ErrorKind> {
    let has = |part: &str| text.contains(part);
    let (full, no_memory) = (has("no space left on device"), has("cannot allocate memory"));
    Some(match () {
        () if has("inotify") && (full || has("too many open files")) => ErrorKind::Exhausted(Resource::Files),
        () if has("mkdir /sys/fs/cgroup") && (full || no_memory) => ErrorKind::Exhausted(Resource::Cgroups),
        () if has("session key") && has("quota exceeded") => ErrorKind::Exhausted(Resource::Keys),
        () if full || has("disk quota exceeded") => ErrorKind::DiskFull,
        () if no_memory || has("out of memory") => ErrorKind::Exhausted(Resource::Memory),
        () if has("too many open files") => ErrorKind::Exhausted(Resource::Files),
        () if has("resource temporarily unavailable") || has("pthread_create failed") => {
            ErrorKind::Exhausted(Resource::Processes)
        }
        () if has("exchange full") => ErrorKind::Exhausted(Resource::BridgePorts),
        () if has("/sys/fs/cgroup") || has("cgroup config") || has("cgroupv2") || has("oom-killed (memory limit") => {
            ErrorKind::CgroupRefused
        }
        () if has("iptables failed") || has("unable to enable accept outgoing rule") => ErrorKind::FirewallRefused,
        () => return None,
    })
}

/// The class of an error that came inside the stream of a pull or build, where there is no status.
fn kind_of_stream(verb: &Verb, message: &str) -> ErrorKind {
    let text = message.to_lowercase();
    if let Some(kind) = kind_of_text(&text).filter(|kind| *kind != ErrorKind::CommandInvalid) {
        return kind;
    }
    let has = |part: &str| text.contains(part);
    let registry_trouble = ["dial tcp", "timeout", "eof", "connection reset", "no such host", "tls handshake"];
    let missing = ["manifest unknown", "not found", "denied", "does not exist", "unauthorized", "no such image"];
    let about_image = matches!(verb, Verb::Pull(_)) || has("manifest") || has("pull access");
    if registry_trouble.iter().any(|part| has(part)) {
        ErrorKind::Internal
    } else if about_image && missing.iter().any(|part| has(part)) {
        ErrorKind::ImageMissing
    } else if matches!(verb, Verb::Build(_) | Verb::Load(_)) || has("invalid reference format") {
        ErrorKind::Rejected
    } else {
        ErrorKind::Internal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> String {
        "web".to_owned()
    }

    /// The texts of 20.10.24 were copied from its answers, those of later engines from their sources.
    #[test]
    fn answers() {
        let runc = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start \
                    container process: ";
        let sysctl = "error during container init: open /proc/sys/net/ipv4/neigh/eth1/retrans_time_ms: no such file \
                      or directory: unknown";
        let driver = "driver failed programming external connectivity on endpoint web (b0858e): ";
        let start = || Verb::Start(name());
        let create = || Verb::Create(name());
        let table: &[(Verb, u16, String, ErrorKind)] = &[
            (create(), 404, "No such image: nope/nothing:1".into(), ErrorKind::ImageMissing),
            (create(), 404, "network x_default not found".into(), ErrorKind::NotFound),
            (
                create(),
                409,
                "Conflict. The container name \"/web\" is already in use by container \"207e\". You have to remove \
                 (or rename) that container to be able to reuse that name."
                    .into(),
                ErrorKind::NameTaken,
            ),
            (create(), 400, "No command specified".into(), ErrorKind::Rejected),
            (
                create(),
                400,
                "invalid mount config for type \"bind\": bind source path does not exist: /nope/x".into(),
                ErrorKind::Rejected,
            ),
            (start(), 403, "Address already in use".into(), ErrorKind::AddressTaken),
            (
                start(),
                500,
                format!("{driver}Bind for 127.0.0.1:34567 failed: port is already allocated"),
                ErrorKind::PortTaken,
            ),
            (
                start(),
                500,
                format!(
                    "{driver}Error starting userland proxy: listen tcp4 127.0.0.1:34568: bind: address already in use"
                ),
                ErrorKind::PortTaken,
            ),
            (
                start(),
                500,
                "failed to set up container networking: driver failed programming external connectivity on endpoint \
                 web: failed to bind host port for 127.0.0.1:80: address already in use"
                    .into(),
                ErrorKind::PortTaken,
            ),
            (
                start(),
                500,
                "Invalid address 10.99.7.9: It does not belong to any of this network's subnets".into(),
                ErrorKind::AddressTaken,
            ),
            (
                start(),
                400,
                format!("{runc}exec: \"/bin/nothing\": stat /bin/nothing: no such file or directory: unknown"),
                ErrorKind::CommandInvalid,
            ),
            (
                start(),
                400,
                format!("{runc}exec: \"nothing\": executable file not found in $PATH: unknown"),
                ErrorKind::CommandInvalid,
            ),
            (start(), 400, format!("{runc}exec: \"/tmp\": permission denied: unknown"), ErrorKind::CommandInvalid),
            (start(), 400, format!("{runc}{sysctl}"), ErrorKind::Rejected),
            (
                start(),
                500,
                "unable to find user nobodyx: no matching entries in passwd file".into(),
                ErrorKind::Rejected,
            ),
            (start(), 400, "network x is ambiguous (2 matches found on name)".into(), ErrorKind::Conflict),
            (start(), 404, "network cvkdock-none not found".into(), ErrorKind::NotFound),
            (start(), 500, "write /var/lib/docker/x: no space left on device".into(), ErrorKind::DiskFull),
            (
                Verb::CreateNetwork(name()),
                403,
                "Pool overlaps with other one on this address space".into(),
                ErrorKind::PoolOverlaps,
            ),
            (
                Verb::CreateNetwork(name()),
                404,
                "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the \
                 network"
                    .into(),
                ErrorKind::PoolExhausted,
            ),
            (
                Verb::CreateNetwork(name()),
                400,
                "all predefined address pools have been fully subnetted".into(),
                ErrorKind::PoolExhausted,
            ),
            (Verb::CreateNetwork(name()), 409, "network with name web already exists".into(), ErrorKind::NameTaken),
            (
                Verb::RemoveNetwork(name()),
                403,
                "error while removing network: network a id a468 has active endpoints".into(),
                ErrorKind::InUse,
            ),
            (Verb::RemoveNetwork(name()), 404, "network a not found".into(), ErrorKind::NotFound),
            (Verb::RemoveVolume(name()), 409, "remove v: volume is in use - [9880c4]".into(), ErrorKind::InUse),
            (Verb::RemoveVolume(name()), 404, "get v: no such volume".into(), ErrorKind::NotFound),
            (
                Verb::Kill(name()),
                409,
                "Cannot kill container: web: Container 9880 is not running".into(),
                ErrorKind::Conflict,
            ),
            (Verb::Remove(name()), 409, "removal of container 9880 is already in progress".into(), ErrorKind::Conflict),
            (
                Verb::Pull(name()),
                404,
                "pull access denied for nope, repository does not exist or may require 'docker login'".into(),
                ErrorKind::ImageMissing,
            ),
            (Verb::Pull(name()), 404, "manifest for web:9 not found: manifest unknown".into(), ErrorKind::ImageMissing),
            (
                Verb::Pull(name()),
                500,
                "Get \"https://localhost:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused".into(),
                ErrorKind::Internal,
            ),
            (Verb::Pull(name()), 500, "unauthorized: authentication required".into(), ErrorKind::ImageMissing),
            (Verb::Pull(name()), 400, "invalid reference format".into(), ErrorKind::Rejected),
            (Verb::Observe(name()), 500, "layer does not exist".into(), ErrorKind::Internal),
            (Verb::Observe(name()), 503, "This node is not a swarm manager.".into(), ErrorKind::Internal),
        ];
        for (verb, status, message, kind) in table {
            assert_eq!(kind_of_answer(verb, *status, message), *kind, "{verb}: {status} {message}");
        }
    }

    /// Texts of runc, containerd and libnetwork, with the kernel's word at their end.
    #[test]
    fn what_the_machine_has_no_more_of() {
        let table = [
            ("write /var/lib/docker/overlay2/x/diff/f: no space left on device", ErrorKind::DiskFull),
            ("mkdir /var/lib/docker/overlay2/x: disk quota exceeded", ErrorKind::DiskFull),
            (
                "runc create failed: unable to start container process: unable to join session keyring: unable to \
                 create session key: disk quota exceeded",
                ErrorKind::Exhausted(Resource::Keys),
            ),
            ("inotify_add_watch /x: no space left on device", ErrorKind::Exhausted(Resource::Files)),
            ("open /proc/self/fd: too many open files", ErrorKind::Exhausted(Resource::Files)),
            (
                "mkdir /sys/fs/cgroup/memory/docker/9880: cannot allocate memory",
                ErrorKind::Exhausted(Resource::Cgroups),
            ),
            ("mkdir /sys/fs/cgroup/pids/docker/9880: no space left on device", ErrorKind::Exhausted(Resource::Cgroups)),
            (
                "failed to add the host (veth1) <=> sandbox (veth2) pair interfaces: cannot allocate memory",
                ErrorKind::Exhausted(Resource::Memory),
            ),
            ("fork/exec /usr/bin/runc: resource temporarily unavailable", ErrorKind::Exhausted(Resource::Processes)),
            (
                "adding interface veth1 to bridge br-1 failed: exchange full",
                ErrorKind::Exhausted(Resource::BridgePorts),
            ),
            (
                "process_linux.go:508: setting cgroup config for procHooks process caused: failed to write 99: write \
                 /sys/fs/cgroup/cpuset/docker/9880/cpuset.cpus: permission denied",
                ErrorKind::CgroupRefused,
            ),
            (
                "cannot enter cgroupv2 \"/sys/fs/cgroup/docker\" with domain controllers -- it is in an invalid state",
                ErrorKind::CgroupRefused,
            ),
            (
                "unable to start container process: container init was OOM-killed (memory limit too low?)",
                ErrorKind::CgroupRefused,
            ),
            (
                "driver failed programming external connectivity on endpoint web: (iptables failed: iptables --wait -t \
                 nat -A DOCKER -p tcp: iptables: No chain/target/match by that name.",
                ErrorKind::FirewallRefused,
            ),
        ];
        for (message, kind) in table {
            let at_start = kind_of_answer(&Verb::Start(name()), 500, message);
            assert_eq!(at_start, kind, "{message}");
        }
    }

    #[test]
    fn errors_within_a_stream() {
        let table = [
            (Verb::Build(name()), "The command '/bin/sh -c false' returned a non-zero code: 1", ErrorKind::Rejected),
            (Verb::Build(name()), "pull access denied for nope, repository does not exist", ErrorKind::ImageMissing),
            (Verb::Build(name()), "exec: \"/bin/sh\": no such file or directory", ErrorKind::Rejected),
            (Verb::Pull(name()), "read tcp 10.0.0.1: connection reset by peer", ErrorKind::Internal),
            (Verb::Pull(name()), "write /var/lib/docker/tmp/x: no space left on device", ErrorKind::DiskFull),
        ];
        for (verb, message, kind) in table {
            let error = explain(verb, Error::DockerStreamError { error: message.to_owned() });
            assert_eq!(error.kind, kind, "{message}");
        }
    }

    #[test]
    fn a_lost_connection_is_unreachable_and_names_its_cause() {
        let broken = std::io::Error::new(std::io::ErrorKind::BrokenPipe, "pipe closed");
        let error = explain(Verb::Watch, Error::IOError { err: broken });
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert!(error.to_string().contains("read the engine's events: pipe closed"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_engine_is_a_timeout() {
        let error = within::<()>(QUESTION, Verb::AskVersion, std::future::pending()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout(QUESTION));
        assert_eq!(
            error.to_string(),
            "failed to ask the engine for its version: no answer from the engine within 5.00 s"
        );
    }
}
