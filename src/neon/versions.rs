//! Versions of Postgres: a branch has one for ever, an endpoint's image has one, a pageserver's image has several.

use std::collections::BTreeSet;

use super::controller::Origin;
use super::http::CallError;
use super::plane::{Plane, PlaneError};
use super::settings::Settings;
use super::state::{State, Tenant};

impl Plane {
    /// Why a timeline wasn't made, in words that help.
    pub(super) fn explained(&self, error: CallError, origin: Origin) -> PlaneError {
        match origin {
            Origin::Fresh { pg_version } if is_without_initdb(&error) => {
                PlaneError::Input(lacking(&self.memory.state(), pg_version))
            }
            _ => error.into(),
        }
    }
}

/// A pageserver runs initdb, and there is none of that version.
fn is_without_initdb(error: &CallError) -> bool {
    let CallError::Refused { message, .. } = error else { return false };
    message.contains("run initdb") && ["NotFound", "No such file"].iter().any(|text| message.contains(text))
}

fn lacking(state: &State, wanted: u32) -> String {
    let branches = state.tenants.values().flat_map(|tenant| tenant.branches.values());
    let there: BTreeSet<u32> = branches.filter(|branch| branch.created).map(|branch| branch.pg_version).collect();
    let there: Vec<String> = there.iter().map(u32::to_string).collect();
    let known = match there.as_slice() {
        [] => "No branch has been made yet that would tell which it has".to_owned(),
        there => format!("It has made branches of {}", there.join(" and ")),
    };
    format!(
        "the pageservers' image has no Postgres {wanted}: there is no initdb of it. {known}; `convoke exec pageserver-1 sh -c \
         'echo /usr/local/v*'` shows all. Choose one of these (--pg-version; endpoints=NAME:VERSION), or an image that has \
         {wanted} (parameters repository and tag)"
    )
}

/// An endpoint of the file whose image can't read its branch; None: all can.
pub(super) fn mismatch(settings: &Settings, tenant: &Tenant) -> Option<String> {
    settings.endpoints.iter().find_map(|endpoint| {
        let (name, own) = (&endpoint.name, endpoint.pg_version);
        let branch = tenant.branches.get(&endpoint.branch)?;
        (branch.pg_version != own).then(|| {
            format!(
                "endpoint {name} has an image of Postgres {own}, and its branch {} is of {}, which never changes: \
                 endpoints={name}:{}={}, or another branch",
                endpoint.branch, branch.pg_version, branch.pg_version, endpoint.branch
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neon::state::Branch;
    use hyper::StatusCode;

    fn refused(message: &str) -> CallError {
        let (peer, what) = ("x".to_owned(), "POST /".to_owned());
        CallError::Refused { peer, what, status: StatusCode::CONFLICT, message: message.to_owned() }
    }

    /// The recorded part of the text is `run initdb: … NotFound`.
    #[test]
    fn a_missing_initdb_is_told_from_other_refusals() {
        assert!(is_without_initdb(&refused("Conflict: 1 (pageserver-1) 500: run initdb: Os { kind: NotFound }")));
        assert!(!is_without_initdb(&refused("Conflict: run initdb: exited with 1")));
        assert!(!is_without_initdb(&refused("NotFound: Tenant not found")));
        assert!(!is_without_initdb(&CallError::Unreachable { peer: "x".into(), why: "run initdb: NotFound".into() }));
    }

    #[test]
    fn it_is_told_which_versions_there_are() {
        let mut state = State::default();
        assert!(
            lacking(&state, 15).contains("has no Postgres 15: there is no initdb of it. No branch has been made yet")
        );
        let tenant = state.tenants.entry("aaaa0000000000000000000000000001".parse().unwrap()).or_default();
        for (name, pg_version, created) in [("a", 17, true), ("b", 16, true), ("c", 15, false)] {
            let timeline = "f00d0000000000000000000000000011".parse().unwrap();
            tenant.branches.insert(name.parse().unwrap(), Branch { timeline, pg_version, created });
        }
        assert!(lacking(&state, 15).contains("It has made branches of 16 and 17; "));
    }
}
