//! Whether the order of starts is learned, and what that is worth.

use anyhow::{Context, Result};

use super::bench::Bench;
use super::clean;
use super::files::{Check, Service, compose, name};
use super::running::identities;
use super::table::{Row, Sample};

/// Components; the last one by name is the slow one.
const SERVICES: usize = 20;

/// Measures first and second runs of a cluster in which one component boots for 3 s and the others for 0.1 s.
pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut services = vec![Service::booting("100ms", Check::Http); SERVICES];
    services[SERVICES - 1] = Service::booting("3s", Check::Http);
    let text = compose(&services);
    let mut times = [Sample::default(), Sample::default()];
    let mut positions = [Sample::default(), Sample::default()];
    for _ in 0..bench.runs {
        // A new place has no record of earlier runs.
        let place = bench.place(&text)?;
        for (time, position) in times.iter_mut().zip(&mut positions) {
            time.add(bench.convoke(&place, &["up"]).await?);
            let mut starts = identities(bench, &place).await?;
            starts.sort_by(|a, b| a.2.cmp(&b.2));
            let slow = starts.iter().position(|start| start.0 == name(SERVICES - 1)).context("it isn't there")?;
            position.add_value(f64::from(u32::try_from(slow + 1)?));
            clean::all(&bench.docker, &place.name).await?;
        }
    }
    let [first, second] = &times;
    let saved = first.median() - second.median();
    let place = Row {
        name: "place of the slow one among 20 starts, second run".into(),
        figure: format!("{}", positions[1].median()),
        against: format!("first run: {}", positions[0].median()),
        target: "among the first 2".into(),
        reached: Some(positions[1].median() <= 2.0),
    };
    let time = Row {
        name: "start of these 20, second run".into(),
        figure: second.seconds(),
        against: format!("first run: {}, {saved:.2} s more", first.seconds()),
        target: "less than the first".into(),
        reached: Some(saved > 0.0),
    };
    Ok(vec![place, time])
}
