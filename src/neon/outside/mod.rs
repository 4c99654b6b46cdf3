//! What the command line asks a control plane ([`super::api`] has the bodies).

mod endpoints;
mod imports;
mod routes;
mod tenants;
mod timelines;

pub(super) use routes::handle;

/// What calls come to.
type Result<T> = std::result::Result<T, super::plane::PlaneError>;
