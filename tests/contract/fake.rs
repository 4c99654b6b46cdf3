//! The suite on the fake engine, which plays the image's program.

use std::time::Duration;

use convoke::cluster::HealthCheck;
use convoke::engine::ImageInfo;
use convoke::engine::fake::{Behaviour, ExecScript, FakeEngine, Program};
use convoke::units::parse_duration;

use crate::context::{Cx, PROGRAM};

const IMAGE: &str = "convoke-test/probe-target:latest";

/// A context on an engine of its own.
pub(crate) async fn context(case: &str) -> Option<Cx<FakeEngine>> {
    let seed = case.bytes().map(u64::from).sum();
    let program = Program { run, exec };
    let health = HealthCheck {
        command: [PROGRAM, "check"].map(str::to_owned).to_vec(),
        shell: false,
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(30),
        retries: 3,
        start_period: Duration::ZERO,
        start_interval: None,
    };
    let image = |tag: &str| ImageInfo { id: format!("sha256:{tag}"), ..ImageInfo::default() };
    let engine = FakeEngine::new(seed)
        .with_program(IMAGE, program)
        .with_image_info(
            "convoke-test/probe-target:volume",
            ImageInfo { volumes: vec!["/data".to_owned()], ..image("1") },
        )
        .with_image_info("convoke-test/probe-target:health", ImageInfo { health: Some(health), ..image("2") });
    Some(Cx::new(engine, "contract", IMAGE))
}

/// What `probe-target` does with these arguments, as far as the cases use them.
fn run(words: &[String]) -> Behaviour {
    if words.first().is_none_or(|program| program != PROGRAM) {
        return Behaviour::default().missing_command();
    }
    let value = |option: &str| words.iter().position(|word| word == option).and_then(|at| words.get(at + 1));
    let time = |option: &str| value(option).map_or(Duration::ZERO, |text| parse_duration(text).unwrap());
    let mut behaviour = Behaviour::ready_after(time("--ready-after")).live_after(Duration::ZERO);
    if words.iter().any(|word| word == "--ignore-sigterm") {
        behaviour = behaviour.ignores_sigterm();
    }
    if let Some(code) = value("--exit") {
        let after = time("--after");
        behaviour = behaviour.exiting(after, code.parse().unwrap()).prints(after, &format!("exiting with {code}"));
    }
    if let Some(line) = value("--log-line") {
        behaviour = behaviour.prints(time("--log-after"), line);
    }
    behaviour
}

/// The same program as a command in a running container.
fn exec(words: &[String]) -> Option<ExecScript> {
    let script = |code, output: String| ExecScript { code, output, takes: Some(Duration::from_millis(5)) };
    match words.first() {
        Some(program) if program != PROGRAM => {
            Some(script(126, format!("exec: {program:?}: no such file or directory: unknown")))
        }
        _ => {
            let code = words.iter().position(|word| word == "--exit").and_then(|at| words.get(at + 1))?;
            Some(script(code.parse().unwrap(), format!("exiting with {code}\n")))
        }
    }
}
