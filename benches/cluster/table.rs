//! Medians, rows and tables.

use anyhow::Result;
use tokio::time::Duration;

/// Measurements of one side.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample(Vec<f64>);

impl Sample {
    /// Takes a measurement in.
    pub(super) fn add(&mut self, took: Duration) {
        self.add_value(took.as_secs_f64());
    }

    /// Takes a number in.
    pub(super) fn add_value(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The median.
    pub(super) fn median(&self) -> f64 {
        let n = self.0.len();
        match (self.0.get(n.saturating_sub(1) / 2), self.0.get(n / 2)) {
            (Some(a), Some(b)) => f64::midpoint(*a, *b),
            _ => f64::NAN,
        }
    }

    /// Median, least and most, in seconds.
    pub(super) fn seconds(&self) -> String {
        let (least, most) = (self.0.first().copied().unwrap_or(f64::NAN), self.0.last().copied().unwrap_or(f64::NAN));
        format!("{:.2} s ({least:.2}–{most:.2})", self.median())
    }

    /// Median and most, in milliseconds.
    pub(super) fn milliseconds(&self) -> String {
        let most = self.0.last().copied().unwrap_or(f64::NAN);
        format!("{:.0} ms (at most {:.0})", self.median() * 1e3, most * 1e3)
    }
}

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Starts of whole clusters.
    pub(super) starts: Vec<StartRow>,
    /// All else.
    pub(super) others: Vec<Row>,
    /// Names of the cases that ended in an error.
    pub(super) failed: Vec<String>,
}

impl Report {
    /// Takes a start's row in, or notes that it failed; says either at once.
    pub(super) fn take_start(&mut self, name: &str, measured: Result<StartRow>) {
        match measured {
            Ok(row) => {
                super::say(&row.text());
                let bare: Vec<String> =
                    row.bare.iter().map(|(n, sample)| format!("{n}: {}", sample.seconds())).collect();
                super::say(&format!("  bare loops by number in flight: {}", bare.join("; ")));
                self.starts.push(row);
            }
            Err(error) => self.fail(name, &error),
        }
    }

    /// Takes other rows in, or notes that they failed; says either at once.
    pub(super) fn take(&mut self, name: &str, measured: Result<Vec<Row>>) {
        match measured {
            Ok(rows) => {
                rows.iter().for_each(|row| super::say(&row.text()));
                self.others.extend(rows);
            }
            Err(error) => self.fail(name, &error),
        }
    }

    fn fail(&mut self, name: &str, error: &anyhow::Error) {
        super::say(&format!("error: {name}: {error:#}"));
        self.failed.push(name.to_owned());
    }
}

/// A start of a cluster, by three sides.
#[derive(Debug)]
pub(super) struct StartRow {
    /// What.
    pub(super) name: String,
    /// Convoke.
    pub(super) convoke: Sample,
    /// Docker compose, and the ratio to it that is aimed at.
    pub(super) compose: Option<(Sample, f64)>,
    /// The bare loops by the number in flight.
    pub(super) bare: Vec<(usize, Sample)>,
    /// Ratio to the best of them that is aimed at.
    pub(super) limit: f64,
}

/// Any other figure.
#[derive(Debug)]
pub(super) struct Row {
    /// What.
    pub(super) name: String,
    /// Convoke's figure.
    pub(super) figure: String,
    /// What it is compared with.
    pub(super) against: String,
    /// What is aimed at.
    pub(super) target: String,
    /// Whether it is reached; None where nothing is aimed at.
    pub(super) reached: Option<bool>,
}

impl StartRow {
    fn text(&self) -> String {
        let mine = self.convoke.median();
        let compose = self.compose.as_ref().map_or_else(
            || "not installed | ".to_owned(),
            |(sample, aim)| format!("{} | {}", sample.seconds(), ratio(mine / sample.median(), *aim)),
        );
        let best = self.bare.iter().min_by(|a, b| a.1.median().total_cmp(&b.1.median()));
        let limit = best.map_or_else(String::new, |(in_flight, sample)| {
            let ratio = ratio(mine / sample.median(), self.limit);
            format!("{}, {in_flight} in flight | {ratio}", sample.seconds())
        });
        format!("| {} | {} | {compose} | {limit} |", self.name, self.convoke.seconds())
    }
}

impl Row {
    fn text(&self) -> String {
        let verdict = match self.reached {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        format!("| {} | {} | {} | {} | {verdict} |", self.name, self.figure, self.against, self.target)
    }
}

/// A ratio beside what is aimed at.
pub(super) fn ratio(is: f64, aim: f64) -> String {
    if is <= aim { format!("{is:.2} (≤ {aim})") } else { format!("**{is:.2}** (missed: ≤ {aim})") }
}

/// Prints the tables.
#[expect(clippy::print_stdout, reason = "a bench has no printer, and the tables are its result")]
pub(super) fn print(header: &str, report: &Report) {
    println!("{header}");
    if !report.starts.is_empty() {
        println!(
            "| start, median (least–most) | convoke | docker compose up --wait | ratio | the engine's limit | ratio |"
        );
        println!("|---|---|---|---|---|---|");
        report.starts.iter().for_each(|row| println!("{}", row.text()));
        println!();
    }
    if !report.others.is_empty() {
        println!("| what | convoke | against | target | reached |");
        println!("|---|---|---|---|---|");
        report.others.iter().for_each(|row| println!("{}", row.text()));
    }
}
