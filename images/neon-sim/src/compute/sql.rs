//! The few queries that can be answered without pages.

use std::collections::BTreeMap;

use crate::pg::wire::Problem;

/// What a query gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// One row.
    Row(Vec<String>, Vec<String>),
    /// A command that was done, by its tag.
    Done(String),
    /// Nothing was asked.
    Empty,
}

/// What a session knows.
pub struct Context<'a> {
    pub user: &'a str,
    pub database: &'a str,
    pub settings: &'a BTreeMap<String, String>,
    pub is_replica: bool,
}

/// What version it says to be. The number tells clients which dialect to speak.
pub const VERSION: &str = "17.0 (neon-sim: a simulation which stores no pages)";

/// Answers one statement. Only constants, settings and a few functions: there are no tables.
pub fn answer(statement: &str, context: &Context<'_>) -> Result<Outcome, Problem> {
    let statement = statement.trim().trim_end_matches(';').trim();
    let (verb, rest) = statement.split_once(char::is_whitespace).unwrap_or((statement, ""));
    match verb.to_ascii_lowercase().as_str() {
        "" => Ok(Outcome::Empty),
        "select" => select(rest, context),
        "show" => {
            let name = rest.trim().trim_matches('"');
            setting(name, context).map(|value| Outcome::Row(vec![name.to_owned()], vec![value]))
        }
        tag @ ("begin" | "start" | "commit" | "end" | "rollback" | "abort" | "set" | "reset" | "discard"
        | "deallocate") => Ok(Outcome::Done(tag.to_ascii_uppercase())),
        _ => Err(no_pages()),
    }
}

fn select(list: &str, context: &Context<'_>) -> Result<Outcome, Problem> {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for item in split_list(list) {
        let (expression, alias) = alias_of(&item);
        let (name, value) = evaluate(expression, context)?;
        names.push(alias.unwrap_or(name));
        values.push(value);
    }
    Ok(Outcome::Row(names, values))
}

/// At commas that stand outside quotes and parentheses.
fn split_list(list: &str) -> Vec<String> {
    let (mut items, mut depth, mut quoted) = (vec![String::new()], 0_u32, false);
    for c in list.chars() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().expect("there is always one").push(c);
    }
    items
}

fn alias_of(item: &str) -> (&str, Option<String>) {
    let item = item.trim();
    let lower = item.to_ascii_lowercase();
    match lower.rfind(" as ").filter(|_| !item.ends_with('\'')) {
        Some(at) => (item[..at].trim(), Some(item[at + 4..].trim().trim_matches('"').to_owned())),
        None => (item, None),
    }
}

fn evaluate(expression: &str, context: &Context<'_>) -> Result<(String, String), Problem> {
    let unnamed = |value: &str| Ok(("?column?".to_owned(), value.to_owned()));
    if let Some(text) = literal(expression) {
        return unnamed(&text);
    }
    if expression.parse::<f64>().is_ok() {
        return unnamed(expression);
    }
    let (name, argument) = match expression.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or_else(no_pages)?.trim()),
        None => (expression, ""),
    };
    let lower = name.to_ascii_lowercase();
    let lower = lower.strip_prefix("pg_catalog.").unwrap_or(&lower);
    let value = match (lower, argument) {
        ("version", "") => format!("PostgreSQL {VERSION}"),
        ("current_user" | "session_user" | "user", "") => context.user.to_owned(),
        ("current_database" | "current_catalog", "") => context.database.to_owned(),
        ("pg_is_in_recovery", "") => if context.is_replica { "t" } else { "f" }.to_owned(),
        ("current_setting", argument) => setting(&literal(argument).ok_or_else(no_pages)?, context)?,
        _ => return Err(no_pages()),
    };
    Ok((lower.to_owned(), value))
}

/// A text between quotes, if that is all.
fn literal(expression: &str) -> Option<String> {
    let inner = expression.strip_prefix('\'')?.strip_suffix('\'')?;
    let plain = inner.replace("''", "");
    (!plain.contains('\'')).then(|| inner.replace("''", "'"))
}

fn setting(name: &str, context: &Context<'_>) -> Result<String, Problem> {
    let lower = name.to_ascii_lowercase();
    let of_session = match lower.as_str() {
        "server_version" => Some(VERSION),
        "transaction_read_only" => Some(if context.is_replica { "on" } else { "off" }),
        "in_hot_standby" => Some(if context.is_replica { "on" } else { "off" }),
        _ => None,
    };
    let value = of_session.map(str::to_owned).or_else(|| context.settings.get(&lower).cloned());
    value.ok_or_else(|| Problem::error("42704", format!("unrecognized configuration parameter \"{name}\"")))
}

fn no_pages() -> Problem {
    let what =
        "neon-sim is a simulation and stores no pages: it answers SHOW and SELECT of constants and settings only";
    Problem::error("0A000", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(statement: &str) -> Result<Outcome, Problem> {
        let settings = BTreeMap::from([("neon.pageserver_connstring".to_owned(), "postgres://x:6400".to_owned())]);
        answer(statement, &Context { user: "neon", database: "neondb", settings: &settings, is_replica: false })
    }

    #[track_caller]
    fn is_row(statement: &str, names: &[&str], values: &[&str]) {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(ask(statement), Ok(Outcome::Row(owned(names), owned(values))), "{statement}");
    }

    #[test]
    fn constants_settings_and_some_functions() {
        is_row("select 1", &["?column?"], &["1"]);
        is_row("SELECT 'it''s', -2.5 AS n;", &["?column?", "n"], &["it's", "-2.5"]);
        is_row("show neon.pageserver_connstring", &["neon.pageserver_connstring"], &["postgres://x:6400"]);
        is_row("select current_setting('neon.pageserver_connstring')", &["current_setting"], &["postgres://x:6400"]);
        is_row("select current_user, current_database()", &["current_user", "current_database"], &["neon", "neondb"]);
        assert_eq!(ask(" ; "), Ok(Outcome::Empty));
        assert_eq!(ask("begin"), Ok(Outcome::Done("BEGIN".into())));
    }

    #[test]
    fn what_needs_pages_is_refused_with_the_reason() {
        for statement in ["create table t (n int)", "select * from t", "select n from t", "select 'a' 'b", "select f("]
        {
            let problem = ask(statement).unwrap_err();
            assert_eq!(problem.code, "0A000", "{statement}: {problem:?}");
            assert!(problem.text.contains("stores no pages"), "{statement}");
        }
        assert_eq!(ask("show nothing.such").unwrap_err().code, "42704");
    }
}
