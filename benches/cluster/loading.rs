//! Reading large files: `config --quiet` of convoke and of docker compose, the whole program each.

use std::fmt::Write as _;

use anyhow::Result;
use tokio::time::{Duration, timeout};

use super::bench::{Bench, IMAGE};
use super::program::timed;
use super::table::{Row, Sample};

/// Services in these cases.
const SERVICES: usize = 200;
/// Loads, merges, extends, resolves and checks; prints nothing.
const COMMAND: [&str; 2] = ["config", "--quiet"];
/// For the peer, which takes more than minutes for some graphs.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is aimed at, the start of the program included.
const AIM: Duration = Duration::from_millis(50);

/// A file to read.
#[derive(Debug)]
pub(super) struct Loading {
    /// Its name, for filters.
    pub(super) name: &'static str,
    title: &'static str,
    file: fn() -> String,
}

/// All of them.
pub(super) const CASES: [Loading; 2] = [
    Loading { name: "load-200", title: "config, 200 services with anchors, extends and variables", file: wide },
    Loading { name: "load-dense", title: "config, 200 services each depending on all before it", file: dense },
];

/// Services that extend one another's base, take over an anchor's keys, and refer to variables.
fn wide() -> String {
    let mut text = format!(
        "x-common: &common\n  restart: unless-stopped\n  logging: {{ driver: json-file, options: {{ max-size: 10m }} }}\n  \
         environment: &env {{ LEVEL: \"${{LEVEL:-info}}\", REGION: \"${{REGION-eu}}\", TRACE: \"${{TRACE:-${{LEVEL:-off}}}}\" }}\n\
         services:\n  base:\n    <<: *common\n    image: {IMAGE}\n    healthcheck: {{ test: [CMD, probe-target, check], interval: 5s }}\n    \
         ulimits: {{ nofile: {{ soft: 1024, hard: 2048 }} }}\n    labels: {{ team: \"${{TEAM:-core}}\" }}\n"
    );
    for n in 1..SERVICES {
        _ = write!(
            text,
            "  svc-{n:03}:\n    <<: *common\n    extends: {{ service: base }}\n    command: [--port, \"{port}\", --name, \"${{PREFIX:-svc}}-{n}\"]\n    \
             environment: {{ <<: *env, NUMBER: \"{n}\" }}\n    ports: [\"127.0.0.1:{published}:{port}\"]\n    volumes: [\"data:/data\", \"./conf/{n}:/conf:ro\"]\n    \
             networks: {{ front: {{ aliases: [s{n}] }}, back: {{}} }}\n    depends_on: {{ base: {{ condition: service_started }} }}\n",
            port = 8000 + n,
            published = 20_000 + n,
        );
    }
    text + "networks: { front: {}, back: {} }\nvolumes: { data: {} }\n"
}

/// Every service depends on all before it: 19 900 edges.
fn dense() -> String {
    let mut text = String::from("services:\n");
    for n in 0..SERVICES {
        let before: Vec<String> = (0..n).map(|other| format!("s{other}")).collect();
        _ = write!(text, "  s{n}:\n    image: {IMAGE}\n    depends_on: [{}]\n", before.join(", "));
    }
    text
}

/// Measures how long it takes to load the file and to say whether it is right.
pub(super) async fn run(bench: &Bench, case: &Loading) -> Result<Row> {
    let place = bench.place(&(case.file)())?;
    let (mut mine, mut peer) = (Sample::default(), Sample::default());
    let mut against = String::new();
    for _ in 0..bench.runs {
        mine.add(bench.convoke(&place, &COMMAND).await?);
    }
    if let Some(compose) = &bench.compose {
        for _ in 0..bench.runs {
            let Ok(took) = timeout(PATIENCE, timed(compose.command(&place, &COMMAND))).await else {
                against = format!("compose config: not within {} s", PATIENCE.as_secs());
                break;
            };
            peer.add(took?);
            against = bench.beside("config", &peer);
        }
    }
    Ok(Row {
        name: case.title.to_owned(),
        figure: mine.milliseconds(),
        against,
        target: format!("≤ {} ms", AIM.as_millis()),
        reached: Some(mine.median() <= AIM.as_secs_f64()),
    })
}
