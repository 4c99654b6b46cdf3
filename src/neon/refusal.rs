//! What can't be done with what is remembered.

use super::ids::{BranchName, EndpointName, TenantId, TimelineId};

/// What can't be done, and why: the user's to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such tenant.
    #[error("there is no tenant {0} here (convoke neon tenant list)")]
    NoTenant(TenantId),
    /// No tenant was named, and there is no default one.
    #[error("no tenant was named, and there is no default tenant yet")]
    NoDefaultTenant,
    /// No such branch.
    #[error("tenant {tenant} has no branch {branch:?}; it has {there}")]
    NoBranch {
        /// Whose.
        tenant: TenantId,
        /// As given.
        branch: String,
        /// Those that there are.
        there: String,
    },
    /// The name stands for another timeline.
    #[error("the branch name {branch} is taken: it is timeline {timeline}")]
    BranchTaken {
        /// The name.
        branch: BranchName,
        /// What it stands for.
        timeline: TimelineId,
    },
    /// No such endpoint.
    #[error("there is no endpoint {0} (convoke neon endpoint list)")]
    NoEndpoint(EndpointName),
    /// The name is in use with another meaning.
    #[error("the endpoint name {0} is taken")]
    EndpointTaken(EndpointName),
    /// It never changes.
    #[error(
        "endpoint {0} shows its branch as it was at one position: a branch from there can be written to (convoke neon timeline branch --ancestor-start-lsn)"
    )]
    Fixed(EndpointName),
    /// Remote storage has nothing of it.
    #[error("there is nothing of tenant {0} in the remote storage")]
    NothingToImport(TenantId),
    /// Two primaries of one timeline would fence each other off.
    #[error(
        "endpoint {other} is a primary of branch {branch} already: two of them would fence each other off for ever"
    )]
    SecondPrimary {
        /// The first.
        other: EndpointName,
        /// Of which branch.
        branch: BranchName,
    },
    /// A timeline that an endpoint serves isn't deleted.
    #[error("endpoint {0} serves it: destroy that first")]
    Served(EndpointName),
    /// An endpoint of the file is there as long as the file has it.
    #[error("endpoint {0} is part of the file: take it out of the parameter `endpoints` (stop works)")]
    Declared(EndpointName),
}
