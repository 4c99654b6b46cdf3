//! Builds with Docker's plugin buildx: a stand-in that records how it was called, and the real one where it is installed.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use convoke::engine::docker::Surroundings;

use crate::support::{Api, IMAGE, Ran, Running, TestCluster};

const FILE: &str = "
services:
  web:
    build:
      context: .
      dockerfile_inline: |
        FROM debian:bookworm-slim
        COPY --from=more pw /of-context
        RUN --mount=type=secret,id=token cp /run/secrets/token /made
      additional_contexts: { more: ./more }
      secrets: [token]
secrets: { token: { environment: TOKEN } }
";

/// A cluster, and a stand-in for the plugin in Docker's folder of configuration.
fn with_plugin(script: &str) -> TestCluster {
    let cluster = TestCluster::new(FILE);
    let path =
        cluster.write("docker/cli-plugins/docker-buildx", &format!("#!/bin/sh\ncd {:?}\n{script}\n", cluster.path()));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    cluster
}

fn command(cluster: &TestCluster, args: &[&str]) -> Command {
    let mut command = cluster.command(args);
    command.env("DOCKER_CONFIG", cluster.path().join("docker")).env("TOKEN", "hunter2").env_remove("DOCKER_BUILDKIT");
    command
}

/// Waits for something that comes soon.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("in 10 s not: {what}");
}

fn run(cluster: &TestCluster, args: &[&str]) -> Ran {
    cluster.run_command(command(cluster, args))
}

#[test]
fn the_plugin_builds_and_is_told_secrets_by_its_environment() {
    let script = format!(
        "echo \"$*\" >said; cat >dockerfile; echo \"$CONVOKE_BUILD_SECRET_0\" >secret; \
         echo \"#1 0.1 the token is $CONVOKE_BUILD_SECRET_0\" >&2; \
         for word; do case $word in --tag=*) docker tag {IMAGE} ${{word#--tag=}};; esac; done"
    );
    let cluster = with_plugin(&script);
    let built = run(&cluster, &["build"]);
    let image = format!("{}-web", cluster.name);
    let (removed, answer) = Api::new().send("DELETE", &format!("/images/{image}"), "");
    built.exits(0).says(&[&format!("{image} built"), "the token is ***"]);
    built.says_nothing_of(&["hunter2"]);
    assert_eq!(removed, 200, "the plugin's image is the engine's: {answer}");
    let read = |name: &str| std::fs::read_to_string(cluster.path().join(name)).unwrap();
    let said = read("said");
    let folder = cluster.path().display();
    assert!(said.starts_with("build --progress=plain --load --tag="), "{said}");
    for word in [format!("--build-context=more={folder}/more"), format!("--file=- {folder}\n")] {
        assert!(said.contains(&word), "{word} in {said}");
    }
    assert!(said.contains("--secret=id=token,env=CONVOKE_BUILD_SECRET_0") && !said.contains("hunter2"), "{said}");
    assert_eq!(read("secret"), "hunter2\n");
    assert!(read("dockerfile").starts_with("FROM debian"));
}

/// Each when that which it is built from is there, whether its service runs or not.
#[test]
fn images_of_other_services_are_built_first() {
    let script = format!(
        "for word; do case $word in --tag=*) tag=${{word#--tag=}};; --build-context=*|--ssh=*) more=\"$more $word\";; esac; done; \
         echo \"$tag$more\" >>said; docker tag {IMAGE} $tag"
    );
    let cluster = with_plugin(&script);
    let inline = "context: ., dockerfile_inline: FROM base, additional_contexts";
    let services = format!(
        "services:\n  app: {{ build: {{ {inline}: {{ base: 'service:middle' }} }} }}\n  \
         middle: {{ scale: 0, build: {{ {inline}: {{ base: 'service:lowest' }} }} }}\n  \
         lowest: {{ profiles: [never], build: {{ context: ., dockerfile_inline: FROM scratch }} }}\n"
    );
    cluster.write("compose.yaml", &services);
    let name = &cluster.name;
    let expected = |more: &str| {
        format!(
            "{name}-lowest{more}\n{name}-middle --build-context=base=docker-image://{name}-lowest{more}\n\
             {name}-app --build-context=base=docker-image://{name}-middle{more}\n"
        )
    };
    let said = || std::fs::read_to_string(cluster.path().join("said")).unwrap();
    let forget = || std::fs::remove_file(cluster.path().join("said")).unwrap();
    let (dry, up) = (run(&cluster, &["up", "--dry-run"]), run(&cluster, &["up"]));
    let by_up = said();
    forget();
    let again = run(&cluster, &["up", "--build"]);
    let by_another = said();
    forget();
    let build = run(&cluster, &["build", "--ssh", "default", "app"]);
    let by_build = said();
    run(&cluster, &["down"]).exits(0);
    for service in ["app", "middle", "lowest"] {
        let (removed, answer) = Api::new().send("DELETE", &format!("/images/{name}-{service}"), "");
        assert_eq!(removed, 200, "{answer}");
    }
    dry.exits(0).says(&[&format!("images to build: {name}-app, {name}-lowest, {name}-middle")]);
    up.exits(0);
    again.exits(0);
    build.exits(0);
    assert_eq!((by_up, by_another, by_build), (expected(""), expected(""), expected(" --ssh=default")));
}

#[test]
fn what_the_plugin_says_of_a_failure_is_quoted() {
    let cluster = with_plugin("echo '#5 0.2 no compiler' >&2; echo 'ERROR: failed to solve: exit code: 3' >&2; exit 1");
    let up = run(&cluster, &["up"]);
    up.exits(1).says(&["can't be built: failed to solve: exit code: 3 (buildx: exit status: 1)", "  | no compiler\n"]);
}

#[test]
fn ctrl_c_ends_the_plugin() {
    for asked in ["build", "up"] {
        let cluster = with_plugin("echo $$ >pid; exec sleep 1000");
        let build = Running::begin(command(&cluster, &[asked]));
        let pid = cluster.path().join("pid");
        eventually("the plugin runs", || std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')));
        build.signal("INT");
        build.end_within(Duration::from_secs(10)).exits(130);
        let process = std::fs::read_to_string(&pid).unwrap();
        let exe = std::path::Path::new("/proc").join(process.trim()).join("exe");
        eventually("the plugin is gone", || exe.read_link().is_err());
    }
}

#[test]
fn without_the_plugin_what_it_would_take_is_refused_at_its_place() {
    let cluster = TestCluster::new(FILE);
    let up = cluster.run_command({
        let mut command = cluster.command(&["up"]);
        command.env("TOKEN", "hunter2");
        command
    });
    up.exits(2).says(&[
        "error: build.additional_contexts isn't understood by the engine's classic builder, and DOCKER_BUILDKIT=0 asks \
         for that one\n  --> compose.yaml:10:7\n",
        "error: build.secrets isn't understood",
        "= help: unset DOCKER_BUILDKIT, or remove the key",
    ]);
}

#[test]
fn the_real_plugin_builds_what_the_classic_builder_does_not_understand() {
    if let Err(why) = Surroundings::of_process().buildx() {
        eprintln!("skipped: {why}");
        return;
    }
    // The BuildKit of 20.10 knows no other contexts.
    let lines = FILE.lines().filter(|line| !line.contains("more"));
    let cluster = TestCluster::new(&lines.collect::<Vec<_>>().join("\n"));
    let real = |args: &[&str]| {
        let mut command = cluster.command(args);
        command.env("TOKEN", "hunter2").env_remove("DOCKER_BUILDKIT");
        cluster.run_command(command)
    };
    let ran = real(&["run", "--rm", "-T", "web", "cat", "/made"]);
    let failing = cluster.path().join("compose.yaml");
    let text =
        std::fs::read_to_string(&failing).unwrap().replace("cp /run/secrets/token /made", "echo looking; exit 3");
    std::fs::write(&failing, text).unwrap();
    let failed = real(&["build"]);
    let (removed, answer) = Api::new().send("DELETE", &format!("/images/{}-web", cluster.name), "");
    assert_eq!((ran.code, ran.out.as_str()), (0, "hunter2"), "{ran}");
    assert_eq!(removed, 200, "{answer}");
    failed.exits(1).says(&["failed to solve: ", "exit code: 3", "looking"]);
    failed.says_nothing_of(&["hunter2"]);
}
