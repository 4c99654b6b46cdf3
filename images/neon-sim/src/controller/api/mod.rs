//! The controller's HTTP API.

mod nodes;
mod pass;
mod routes;
mod tenants;

pub use routes::router;

/// What handlers get.
type Shared = axum::extract::State<std::sync::Arc<super::state::Controller>>;
