//! What only a real engine can show: files and owners, failing fast, builds, leftovers of a killed run.
//!
//! Every test has a cluster name of its own and removes what it made, whether it passed or not. The image
//! `convoke-test/probe-target` must be loaded (`make images`).

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is the test's")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use convoke::cluster::{Build, ContainerSpec, FileContent, HostFile, Mount, MountKind, VolumeOwner};
use convoke::engine::archive::{ImageFile, ScratchImage};
use convoke::engine::docker::{DockerEngine, ExecStreams, TerminalSize};
use convoke::engine::{
    Attach, BuildRequest, CreateContainer, CreateNetwork, CreateVolume, Engine, ErrorKind, ExecRequest, LogQuery,
    ObservedContainer, Subnet, labels,
};
use convoke::names::{ClusterName, ComponentName, ContainerId, NetworkKey, VolumeKey};
use futures::{FutureExt, StreamExt, TryStreamExt};

const IMAGE: &str = "convoke-test/probe-target:latest";
const PROGRAM: &str = "/bin/probe-target";
/// Set it where there is no engine; anything else without an engine is a failure, not a silent pass.
const SKIP: &str = "CONVOKE_SKIP_DOCKER";

struct Cx {
    engine: DockerEngine,
    cluster: ClusterName,
}

/// Runs a test in a cluster of its own and removes all of it.
async fn in_cluster(name: &str, test: impl AsyncFn(&Cx)) {
    if std::env::var_os(SKIP).is_some() {
        return;
    }
    let engine = DockerEngine::connect(None).await.unwrap_or_else(|error| panic!("{error}; {SKIP}=1 leaves this out"));
    assert!(engine.image(IMAGE).await.unwrap().is_some(), "the engine lacks {IMAGE}: run `make images`");
    let cluster = ClusterName::new(format!("cvk-engine-{name}-{}", std::process::id())).unwrap();
    let cx = Cx { engine, cluster };
    let passed = AssertUnwindSafe(test(&cx)).catch_unwind().await;
    cx.clean_up().await;
    if let Err(panic) = passed {
        std::panic::resume_unwind(panic);
    }
}

impl Cx {
    async fn clean_up(&self) {
        let all = self.engine.observe(&self.cluster).await.unwrap();
        for container in all.containers {
            self.engine.remove(&container.id, true).await.unwrap();
        }
        for network in all.networks {
            self.engine.remove_network(&network.id).await.unwrap();
        }
        for volume in all.volumes {
            self.engine.remove_volume(&volume.name).await.unwrap();
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(labels::CLUSTER.to_owned(), self.cluster.to_string())])
    }

    fn request(&self, component: &str, words: &[&str]) -> CreateContainer {
        let mut labels = self.labels();
        labels.insert(labels::COMPONENT.to_owned(), component.to_owned());
        labels.insert(labels::CONFIG_HASH.to_owned(), "f00".to_owned());
        CreateContainer {
            component: ComponentName::new(component).unwrap(),
            name: format!("{}-{component}", self.cluster),
            image: IMAGE.to_owned(),
            spec: ContainerSpec {
                entrypoint: Some(vec![PROGRAM.to_owned()]),
                command: Some(words.iter().map(|&word| word.to_owned()).collect()),
                ..ContainerSpec::default()
            },
            health: None,
            health_disabled: false,
            labels,
            networks: Vec::new(),
            volumes: BTreeMap::new(),
            hosts: Vec::new(),
            publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            carried_volumes: BTreeMap::new(),
            files: Vec::new(),
            owners: Vec::new(),
            one_off: None,
        }
    }

    async fn start(&self, request: &CreateContainer) -> ContainerId {
        let id = self.engine.create_container(request).await.unwrap();
        self.engine.start(&id).await.unwrap();
        id
    }

    /// The log, once a line with this text is in it.
    async fn log_with(&self, id: &ContainerId, text: &str) -> String {
        let query = LogQuery { follow: true, tail: None, since: None };
        let mut lines = self.engine.logs(id, &query);
        let mut log = String::new();
        let found = async {
            while let Some(line) = lines.try_next().await.unwrap() {
                log.push_str(&String::from_utf8_lossy(&line.text));
                log.push('\n');
                if log.contains(text) {
                    return;
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), found).await.is_ok();
        assert!(found && log.contains(text), "no {text:?} in the log:\n{log}");
        log
    }

    async fn containers(&self) -> Vec<ObservedContainer> {
        self.engine.observe(&self.cluster).await.unwrap().containers
    }

    /// A network in a part of the address space that convoke's own pool doesn't use.
    async fn network(&self, key: &str) -> (Attach, Subnet) {
        for third in 0..=255 {
            let subnet = Subnet { base: Ipv4Addr::new(10, 246, third, 0), prefix: 24 };
            let request = CreateNetwork {
                name: format!("{}_{key}", self.cluster),
                labels: self.labels(),
                driver: None,
                driver_opts: BTreeMap::new(),
                internal: false,
                attachable: false,
                subnet: Some(subnet),
                gateway: subnet.address(1),
                ip_range: None,
                ipam: convoke::cluster::Ipam::default(),
            };
            match self.engine.create_network(&request).await {
                Ok(network_id) => {
                    let key = NetworkKey::new(key).unwrap();
                    let name = request.name;
                    let address = subnet.address(9);
                    let attach = Attach {
                        key,
                        network_id,
                        network_name: name,
                        address,
                        aliases: Vec::new(),
                        settings: convoke::cluster::EndpointSettings::default(),
                        fail_fast: true,
                    };
                    return (attach, subnet);
                }
                Err(error) => assert_eq!(error.kind, ErrorKind::PoolOverlaps, "{error}"),
            }
        }
        panic!("no free subnet");
    }
}

fn inline(target: &str, text: &str) -> HostFile {
    let content = FileContent::Inline { bytes: text.as_bytes().to_vec() };
    HostFile { target: target.to_owned(), content, uid: 1000, gid: 1000, mode: 0o400 }
}

#[tokio::test]
async fn files_and_volume_owners_are_there_at_the_start() {
    in_cluster("files", async |cx| {
        let name = format!("{}_data", cx.cluster);
        let volume = CreateVolume { name, labels: cx.labels(), driver: None, driver_opts: BTreeMap::new() };
        cx.engine.create_volume(&volume).await.unwrap();
        let on_disk = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(on_disk.path(), "from disk").unwrap();
        let mut request = cx.request(
            "web",
            &["--uid-check", "--cat", "/etc/app/deep/secret", "--cat", "/run/disk", "--write", "/data/x"],
        );
        let key = VolumeKey::new("data").unwrap();
        request.spec.user = Some("1000:1000".into());
        request.spec.mounts = vec![Mount::new("/data", MountKind::Volume { key, nocopy: false }, false)];
        request.volumes.insert("data".into(), volume);
        let mut disk = inline("/run/disk", "");
        disk.content = FileContent::Path { path: on_disk.path().to_owned() };
        request.files = vec![inline("/etc/app/deep/secret", "hush"), disk];
        request.owners = vec![VolumeOwner { target: "/data".into(), uid: 1000, gid: 1000, mode: Some(0o700) }];
        let id = cx.start(&request).await;
        let log = cx.log_with(&id, "listening").await;
        assert!(log.contains("uid 1000") && log.contains("secret: hush") && log.contains("disk: from disk"), "{log}");
        let seen = cx.engine.inspect(&id).await.unwrap().unwrap();
        assert_eq!(seen.name, request.name);
        assert!(seen.labels.contains_key(labels::CONFIG_HASH));
    })
    .await;
}

/// From API 1.45 on; an older engine would mount the whole volume without a word.
#[tokio::test]
async fn a_part_of_a_volume_is_mounted_where_the_engine_can() {
    in_cluster("subpath", async |cx| {
        let name = format!("{}_data", cx.cluster);
        let volume = CreateVolume { name, labels: cx.labels(), driver: None, driver_opts: BTreeMap::new() };
        cx.engine.create_volume(&volume).await.unwrap();
        let key = VolumeKey::new("data").unwrap();
        let of_volume = |target: &str| Mount::new(target, MountKind::Volume { key: key.clone(), nocopy: false }, false);
        let mut writer = cx.request("writer", &[]);
        writer.volumes.insert("data".into(), volume);
        writer.spec.mounts = vec![of_volume("/data")];
        writer.files = vec![inline("/data/a/b/text", "of the part")];
        cx.engine.create_container(&writer).await.unwrap();
        let mut reader = cx.request("reader", &["--cat", "/part/text"]);
        reader.volumes.clone_from(&writer.volumes);
        reader.spec.mounts = vec![of_volume("/part")];
        reader.spec.mounts[0].options.subpath = Some("a/b".to_owned());
        if newer_than(&cx.engine, 44) {
            let id = cx.start(&reader).await;
            let log = cx.log_with(&id, "listening").await;
            assert!(log.contains("text: of the part"), "{log}");
        } else {
            let error = cx.engine.create_container(&reader).await.unwrap_err().to_string();
            assert!(
                error.contains("the subpath of the volume at /part needs an engine of API 1.45 or newer"),
                "{error}"
            );
        }
    })
    .await;
}

/// Whether the engine's API is newer than 1 and this.
fn newer_than(engine: &DockerEngine, minor: u32) -> bool {
    let version = &engine.known_info().api_version;
    version.strip_prefix("1.").and_then(|rest| rest.parse::<u32>().ok()).is_none_or(|own| own > minor)
}

#[tokio::test]
async fn a_failed_step_leaves_no_container() {
    in_cluster("failed-step", async |cx| {
        let mut request = cx.request("web", &[]);
        request.files = vec![inline("/bin", "a file where a directory is")];
        let error = cx.engine.create_container(&request).await.unwrap_err();
        assert!(error.to_string().contains("put files into web"), "{error}");
        request.files = vec![inline("/x", "")];
        request.files[0].content = FileContent::Path { path: "/nowhere/at/all".into() };
        let error = cx.engine.create_container(&request).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected);
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
        assert!(cx.containers().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_leftover_of_a_killed_run_is_seen_as_incomplete_and_replaced() {
    in_cluster("leftover", async |cx| {
        let mut request = cx.request("web", &[]);
        let name = request.name.clone();
        request.name.push_str(".unfinished");
        let left = cx.engine.create_container(&request).await.unwrap();
        assert!(!cx.containers().await[0].labels.contains_key(labels::CONFIG_HASH));
        request.name = name;
        request.files = vec![inline("/x", "y")];
        let made = cx.engine.create_container(&request).await.unwrap();
        let all = cx.containers().await;
        assert_eq!((all.len(), &all[0].id, &all[0].name), (1, &made, &request.name));
        assert_ne!(left, made);
        // With the name in use the new one must not stay behind under its first name.
        let error = cx.engine.create_container(&request).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NameTaken);
        assert_eq!(cx.containers().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn connections_to_nobody_fail_fast_on_every_network() {
    in_cluster("fail-fast", async |cx| {
        let (front, front_subnet) = cx.network("front").await;
        let (back, back_subnet) = cx.network("back").await;
        let nobody = |subnet: Subnet| format!("{}:9", subnet.address(77).unwrap());
        let peers = [nobody(front_subnet), nobody(back_subnet)];
        let mut request = cx.request("web", &["--connect", &peers[0], "--connect", &peers[1]]);
        request.networks = vec![front.clone(), back];
        let id = cx.start(&request).await;
        for peer in peers {
            let log = cx.log_with(&id, &format!("failed {peer} in ")).await;
            let line = log.lines().find(|line| line.contains(&format!("failed {peer}"))).unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            let at = words.iter().position(|word| *word == "in").unwrap();
            // 3 s without the settings. With them 0.17 s, and once in a hundred runs a second more: the first answer was lost.
            assert!(words[at + 1].parse::<u64>().unwrap() < 2000 && line.contains("No route"), "{line}");
        }
        let seen = cx.engine.inspect(&id).await.unwrap().unwrap();
        assert_eq!(seen.networks.len(), 2);
        assert_eq!(seen.networks[&front.network_name].address, front.address);
    })
    .await;
}

#[tokio::test]
async fn a_bind_mount_is_made_only_where_asked() {
    in_cluster("binds", async |cx| {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("missing");
        let mut request = cx.request("web", &["--write", "/host/x"]);
        let bind = |create| Mount::new("/host", MountKind::Bind { source: source.clone(), create }, false);
        request.spec.mounts = vec![bind(false)];
        let error = cx.engine.create_container(&request).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{error}");
        request.spec.mounts = vec![bind(true)];
        let id = cx.start(&request).await;
        cx.log_with(&id, "listening").await;
        assert!(source.join("x").exists());
    })
    .await;
}

#[tokio::test]
async fn an_image_made_by_hand_has_the_predicted_id() {
    in_cluster("scratch", async |cx| {
        let image = ScratchImage {
            name: format!("{}:1", cx.cluster),
            files: vec![ImageFile::file("/hello", "hello"), ImageFile::directory("/tmp", 0o1777)],
            entrypoint: vec!["/hello".into()],
            exposed: vec![8080],
            volumes: vec!["/data".into()],
            ..ScratchImage::default()
        };
        let archive = image.archive().unwrap();
        cx.engine.load(&archive).await.unwrap();
        let info = cx.engine.image(&image.name).await.unwrap().unwrap();
        cx.engine.load(&archive).await.unwrap();
        cx.engine.remove_image(&image.name).await.unwrap();
        assert_eq!((info.id, info.exposed, info.volumes), (archive.id, vec![8080], vec!["/data".to_owned()]));
        assert!(cx.engine.image(&image.name).await.unwrap().is_none());
    })
    .await;
}

fn build_request(cx: &Cx, context: &std::path::Path, dockerfile: &str) -> BuildRequest {
    BuildRequest {
        tag: format!("{}:built", cx.cluster),
        cluster: cx.cluster.clone(),
        build: Build {
            dockerfile_inline: Some(dockerfile.to_owned()),
            args: BTreeMap::from([("WHO".to_owned(), Some("you".to_owned()))]),
            target: Some("wanted".into()),
            ..Build::new(context)
        },
        labels: cx.labels(),
        every_platform: false,
    }
}

#[tokio::test]
async fn an_image_is_built_with_arguments_and_without_ignored_files() {
    in_cluster("build", async |cx| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kept"), "kept").unwrap();
        std::fs::write(folder.path().join("dropped"), "dropped").unwrap();
        std::fs::write(folder.path().join(".dockerignore"), "drop*\n").unwrap();
        let text = format!("FROM {IMAGE} AS wanted\nARG WHO\nLABEL who=$WHO\nCOPY . /context/\nFROM wanted\nRUN x\n");
        let request = build_request(cx, folder.path(), &text);
        let steps: Vec<_> = cx.engine.build(&request).try_collect().await.unwrap();
        // Whichever builder there is.
        assert!(steps.iter().any(|step| step.text.ends_with("COPY . /context/")), "{steps:?}");
        let mut container = cx.request("web", &["--cat", "/context/kept"]);
        container.image.clone_from(&request.tag);
        let id = cx.start(&container).await;
        cx.log_with(&id, "/context/kept: kept").await;
        let labels = cx.engine.inspect(&id).await.unwrap().unwrap().labels;
        let mut missing = cx.request("missing", &["--cat", "/context/dropped"]);
        missing.image.clone_from(&request.tag);
        let missing = cx.start(&missing).await;
        cx.log_with(&missing, "/context/dropped").await;
        cx.clean_up().await;
        cx.engine.remove_image(&request.tag).await.unwrap();
        assert_eq!(labels["who"], "you");
    })
    .await;
}

#[tokio::test]
async fn a_failed_build_is_one_error_at_the_end() {
    in_cluster("failed-build", async |cx| {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("FROM {IMAGE} AS wanted\nRUN [\"/nowhere\"]\n");
        let items: Vec<_> = cx.engine.build(&build_request(cx, folder.path(), &text)).collect().await;
        let error = items.last().unwrap().as_ref().unwrap_err();
        assert_eq!(
            (&error.kind, items.iter().filter(|item| item.is_err()).count()),
            (&ErrorKind::Rejected, 1),
            "{error}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_command_can_be_attached_to() {
    in_cluster("attached", async |cx| {
        let id = cx.start(&cx.request("web", &[])).await;
        let run = async |words: &[&str], tty: bool| {
            let (mut output, mut errors) = (Vec::new(), Vec::new());
            let size = tokio::sync::watch::Sender::new(TerminalSize { width: 100, height: 50 });
            let command = words.iter().map(|&word| word.to_owned()).collect();
            let request = ExecRequest { command, ..ExecRequest::default() };
            let streams = ExecStreams {
                input: Some(tokio::sync::mpsc::channel(1).1),
                output: &mut output,
                errors: &mut errors,
                terminal: tty.then(|| size.subscribe()),
            };
            let code = cx.engine.exec_with(&id, &request, streams).await.unwrap();
            (code, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
        };
        let (code, output, _) = run(&[PROGRAM, "env"], false).await;
        assert!(code == 0 && output.contains("PATH=") && !output.contains('\r'), "{code} {output}");
        let (code, output, _) = run(&[PROGRAM, "env"], true).await;
        assert!(code == 0 && output.contains("\r\n"), "{code} {output:?}");
        let (code, output, errors) = run(&["/nowhere"], false).await;
        assert!(matches!(code, 126 | 127) && (output + &errors).contains("nowhere"), "{code}");
        assert!(cx.engine.clusters().await.unwrap().contains(&cx.cluster));
    })
    .await;
}

/// Containers that come and go between the list and their inspection are no errors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observing_amid_changes_works() {
    in_cluster("churn", async |cx| {
        let churn = async {
            for round in 0..8 {
                let made: Vec<ContainerId> = futures::stream::iter(0..6)
                    .map(|n| async move {
                        cx.engine.create_container(&cx.request(&format!("c{round}-{n}"), &[])).await.unwrap()
                    })
                    .buffer_unordered(6)
                    .collect()
                    .await;
                let removals = made.iter().flat_map(|id| [cx.engine.remove(id, true), cx.engine.remove(id, true)]);
                for removed in futures::future::join_all(removals).await {
                    removed.unwrap();
                }
            }
        };
        let observe = async {
            loop {
                cx.engine.observe(&cx.cluster).await.unwrap();
            }
        };
        futures::future::select(std::pin::pin!(churn), std::pin::pin!(observe)).await;
    })
    .await;
}
