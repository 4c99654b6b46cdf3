//! Mounts, configs, secrets, owners.

use std::path::Path;

use super::{good, load, local, messages, one, problems, try_with};
use crate::cluster::resolve::{ResolveOptions, resolve};
use crate::cluster::{FileContent, MountKind};

const FILES: &str = "
services:
  web:
    image: i
    configs: [site, { source: inline, target: etc/inline.conf, mode: 0600, uid: '7' }]
    secrets: [key, { source: token, target: tok }]
configs:
  site: { file: site.conf }
  inline: { content: 'a=1' }
secrets:
  key: { file: ./key.pem }
  token: { environment: TOKEN }
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.conf"), "x").unwrap();
    std::fs::write(folder.path().join("key.pem"), "-- begin --\nabcdefgh\nxyz\n").unwrap();
    folder
}

#[test]
fn files_are_mounted_on_a_local_engine_and_the_rest_is_put_in() {
    let folder = folder();
    let (cluster, warnings) = resolve(&load(folder.path(), FILES), &local()).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let web = one(&cluster, "web");
    let mounts: Vec<_> = web.spec.mounts.iter().map(|mount| (mount.target.as_str(), mount.read_only)).collect();
    assert_eq!(mounts, [("/site", true), ("/run/secrets/key", true)]);
    let source = folder.path().join("key.pem");
    assert_eq!(web.spec.mounts[1].kind, MountKind::Bind { source, create: false });
    let files: Vec<_> = web.files.iter().map(|file| (file.target.as_str(), file.uid, file.mode)).collect();
    assert_eq!(files, [("/etc/inline.conf", 7, 0o600), ("/run/secrets/tok", 0, 0o444)]);
    assert_eq!(web.secrets, ["-- begin --\nabcdefgh\nxyz", "s3cr3t"]);
    assert!(!format!("{:?}", web.files).contains("s3cr3t"));
    assert!(!serde_json::to_string(&cluster).unwrap().contains("s3cr3t"));
}

#[test]
fn a_remote_engine_gets_the_files_content() {
    let folder = folder();
    let options = ResolveOptions { engine_is_local: false, ..local() };
    let (cluster, _) = resolve(&load(folder.path(), FILES), &options).unwrap();
    let web = one(&cluster, "web");
    assert!(web.spec.mounts.is_empty());
    assert_eq!(web.files[0].content, FileContent::Path { path: folder.path().join("site.conf") });
    // The content is part of the hash, since a change must reach the container.
    std::fs::write(folder.path().join("site.conf"), "y").unwrap();
    let (changed, _) = resolve(&load(folder.path(), FILES), &options).unwrap();
    assert_ne!(one(&changed, "web").config_hash, web.config_hash);
}

#[test]
fn files_that_cannot_be_had_are_reported() {
    let text = "
services:
  a: { image: i, configs: [gone, swarm, unset] }
configs:
  gone: { file: ./gone.conf }
  swarm: { external: true }
  unset: { environment: NOT_SET }
";
    insta::assert_snapshot!(problems(text), @r#"
    error: the file /demo/gone.conf of config "gone" does not exist
     --> compose.yaml:5:17
      |
    5 |   gone: { file: ./gone.conf }
      |                 ^^^^^^^^^^^
      = help: make it, or correct the path

    error: config "swarm" is external, which needs a Swarm
     --> compose.yaml:6:3
      |
    6 |   swarm: { external: true }
      |   ^^^^^
      = help: give its content with file, content or environment

    error: config "unset" is in the variable NOT_SET, which is not set
     --> compose.yaml:7:25
      |
    7 |   unset: { environment: NOT_SET }
      |                         ^^^^^^^
      = help: set it in the environment or in the env file
    "#);
}

#[test]
fn files_are_not_put_where_they_would_be_refused_or_hidden() {
    let text = "
services:
  sealed: { image: i, read_only: true, configs: [inline] }
  hidden:
    image: i
    tmpfs: [/run]
    secrets: [token]
configs: { inline: { content: x } }
secrets: { token: { environment: TOKEN } }
";
    insta::assert_snapshot!(problems(text), @r#"
    error: config "inline" can't be put at /inline: the root is read_only (compose.yaml:3:34)
     --> compose.yaml:3:50
      |
    3 |   sealed: { image: i, read_only: true, configs: [inline] }
      |                                                  ^^^^^^
      = help: use file: for it, or drop read_only

    error: secret "token" can't be put at /run/secrets/token: the tmpfs at /run (compose.yaml:6:13) would hide it
     --> compose.yaml:7:15
      |
    7 |     secrets: [token]
      |               ^^^^^
      = help: give it another target, or use file: for it
    "#);
}

#[test]
fn volumes_binds_and_tmpfs() {
    let cluster = good(
        "
name: demo
services:
  a:
    image: i
    tmpfs: ['/scratch:size=1m']
    volumes:
      - data:/data:ro
      - /anonymous
      - { type: volume, target: /empty, volume: { nocopy: true } }
      - ./made:/made
      - ~/mine:/mine/
      - { type: volume, source: shared, target: /shared, volume: { nocopy: true } }
volumes:
  data: {}
  shared: { external: true, name: theirs }
  unused: {}
",
    );
    let spec = &one(&cluster, "a").spec;
    let mount = |target: &str| spec.mounts.iter().find(|mount| mount.target == target).unwrap();
    assert_eq!(mount("/data").kind, MountKind::Volume { key: "data".parse().unwrap(), nocopy: false });
    assert!(mount("/data").read_only);
    assert_eq!((&mount("/anonymous").kind, mount("/anonymous").options.nocopy), (&MountKind::Anonymous, false));
    assert_eq!((&mount("/empty").kind, mount("/empty").options.nocopy), (&MountKind::Anonymous, true));
    assert_eq!(mount("/made").kind, MountKind::Bind { source: "/demo/made".into(), create: true });
    assert_eq!(mount("/mine").kind, MountKind::Bind { source: "/home/me/mine".into(), create: true });
    assert!(matches!(mount("/scratch").kind, MountKind::Tmpfs { size: Some(1_048_576), .. }));
    let volumes: Vec<(&str, bool)> =
        cluster.volumes.values().map(|volume| (volume.engine_name.as_str(), volume.external)).collect();
    assert_eq!(volumes, [("demo_data", false), ("theirs", true)]);
}

#[test]
fn a_bind_mount_in_long_form_needs_its_source() {
    let text = "
services:
  a: { image: i, volumes: [{ type: bind, source: ./gone, target: /x, bind: { create_host_path: false } }] }
";
    assert_eq!(messages(text), ["/demo/gone does not exist, so it can't be mounted"]);
    let options = ResolveOptions { engine_is_local: false, ..local() };
    let (_, warnings) = try_with(text, &options).unwrap();
    let expected = "/demo/gone is looked for on the engine's machine, not on this one";
    assert_eq!(warnings.iter().map(|warning| warning.message.as_str()).collect::<Vec<_>>(), [expected]);
}

#[test]
fn owners_are_for_volumes() {
    let text = "
services:
  a:
    image: i
    volumes: [data:/data, /anonymous, './x:/bound']
    x-convoke:
      owner:
        /data: 70:70
        /anonymous: 1:2
        /bound: 1:1
        /else: 1:1
  b: { image: i, read_only: true, volumes: [data:/data], x-convoke: { owner: { /data: 1:1 } } }
volumes: { data: {} }
";
    assert_eq!(
        messages(text).into_iter().map(|m| m.split(" (").next().unwrap().to_owned()).collect::<Vec<_>>(),
        [
            "/bound of \"a\" is not a volume, so it can't get an owner",
            "\"a\" mounts no volume at /else",
            "/data can't get an owner: \"b\" is read_only",
        ]
    );
}

#[test]
fn one_place_inside_is_taken_once() {
    let text = "
services:
  a:
    image: i
    volumes: [/data]
    configs: [{ source: c, target: /data }]
configs: { c: { content: x } }
";
    assert_eq!(messages(text), ["\"a\" has two things at /data"]);
}

#[test]
fn owners_arrive() {
    let cluster = good("services: { a: { image: i, volumes: [/data], x-convoke: { owner: { /data: 70:71 } } } }");
    let owner = &one(&cluster, "a").owners[0];
    assert_eq!((owner.target.as_str(), owner.uid, owner.gid), ("/data", 70, 71));
    assert!(Path::new(&owner.target).is_absolute());
}

#[test]
fn a_label_with_a_secret_is_refused() {
    let text = "services: { a: { image: i, labels: { token: 'is s3cr3t' }, secrets: [t] } }\n\
                secrets: { t: { environment: TOKEN } }\n";
    assert_eq!(messages(text), ["the label token of \"a\" would show a secret"]);
    let parameter = ResolveOptions { secrets: vec!["xyzzy".into()], ..local() };
    let text = "services: { a: { image: i } }\nnetworks: { default: { labels: { by: xyzzy } } }\n";
    let problems = try_with(text, &parameter).unwrap_err().to_string();
    assert!(problems.contains("the label by of \"default\""), "{problems}");
}

#[test]
fn a_target_is_the_path_of_a_file() {
    for target in ["/run/secrets/../passwd", "../x", "/", ".", "a//b"] {
        let text = format!(
            "services: {{ a: {{ image: i, secrets: [{{ source: t, target: {target} }}] }} }}\n\
             secrets: {{ t: {{ environment: TOKEN }} }}\n"
        );
        let said = problems(&text);
        assert!(said.contains("secret \"t\" can't be put at") && said.contains("compose.yaml:1:"), "{target}: {said}");
    }
}
