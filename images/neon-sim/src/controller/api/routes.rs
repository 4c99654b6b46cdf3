//! The controller's routes. Those about tenants wait for the startup reconcile, those about nodes don't.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, delete, get, post, put};
use serde_json::Value;

use super::super::state::Controller;
use super::Shared;
use super::nodes::{
    cancel_delete, cancel_drain, cancel_fill, configure_node, delete_node, drain, fill, get_node, get_safekeeper,
    import_tenant, import_timeline, leader, list_nodes, list_safekeepers, node_shards, re_attach, register_node,
    remove_tombstone, safekeeper_policy, tombstones, upsert_safekeeper, validate,
};
use super::pass::pass_through;
use super::tenants::{
    create_tenant, create_timeline, delete_tenant, delete_timeline, describe_tenant, describe_timeline, download,
    get_config, list_tenants, locate_tenant, locate_timeline, migrate, on_all_shards, patch_config, put_config,
    reconcile_all, safekeeper_migrate, set_location, split, tenant_policy,
};
use crate::http::{ApiError, answer, null, with_fallbacks};

/// All routes.
pub fn router(controller: Arc<Controller>) -> Router {
    let about_tenants =
        about_tenants().route_layer(middleware::from_fn_with_state(Arc::clone(&controller), wait_started));
    with_fallbacks(about_nodes().merge(about_tenants).merge(not_simulated())).with_state(controller)
}

/// What the real program has and this one hasn't: a clear 501 instead of a 404 that looks like a typing mistake.
fn not_simulated() -> Router<Arc<Controller>> {
    let paths = [
        "/upcall/v1/timeline_import_status",
        "/control/v1/preferred_azs",
        "/control/v1/step_down",
        "/control/v1/metadata_health/{*rest}",
        "/control/v1/tenant/{tenant}/migrate_secondary",
        "/control/v1/tenant/{tenant}/cancel_reconcile",
        "/v1/tenant/{tenant}/timeline/{timeline}/detach_ancestor",
        "/v1/tenant/{tenant}/timeline/{timeline}/safekeeper_migrate_abort",
        "/debug/v1/node/{node}/drop",
        "/debug/v1/tenant/{tenant}/drop",
        "/debug/v1/tenant",
        "/debug/v1/scheduler",
        "/debug/v1/inspect",
        "/debug/v1/attach-hook",
        "/debug/v1/consistency_check",
    ];
    paths.into_iter().fold(Router::new(), |router, path| router.route(path, any(refuse)))
}

async fn refuse(method: Method, uri: Uri) -> ApiError {
    ApiError::not_simulated(&format!("{method} {}", uri.path()))
}

async fn wait_started(State(controller): Shared, request: Request, next: Next) -> Result<Response, ApiError> {
    controller.wait_started().await?;
    Ok(next.run(request).await)
}

fn about_nodes() -> Router<Arc<Controller>> {
    Router::new()
        .route("/status", get(async || null()))
        .route("/live", get(ready))
        .route("/ready", get(ready))
        .route("/metrics", get(async || ""))
        .route("/upcall/v1/re-attach", post(re_attach))
        .route("/upcall/v1/validate", post(validate))
        .route("/control/v1/leader", get(leader))
        .route("/control/v1/node", get(list_nodes).post(register_node))
        .route("/control/v1/node/{node}", get(get_node).delete(refuse))
        .route("/control/v1/node/{node}/shards", get(node_shards))
        .route("/control/v1/node/{node}/config", put(configure_node))
        .route("/control/v1/node/{node}/drain", put(drain).delete(cancel_drain))
        .route("/control/v1/node/{node}/fill", put(fill).delete(cancel_fill))
        .route("/control/v1/node/{node}/delete", put(delete_node).delete(cancel_delete))
        .route("/debug/v1/tombstone", get(tombstones))
        .route("/debug/v1/tombstone/{node}", delete(remove_tombstone))
        .route("/debug/v1/tenant/{tenant}/import", post(import_tenant))
        .route("/control/v1/safekeeper", get(list_safekeepers))
        .route("/control/v1/safekeeper/{id}", get(get_safekeeper).post(upsert_safekeeper))
        .route("/control/v1/safekeeper/{id}/scheduling_policy", post(safekeeper_policy))
}

fn about_tenants() -> Router<Arc<Controller>> {
    Router::new()
        .route("/v1/tenant", post(create_tenant))
        .route("/v1/tenant/config", put(put_config).patch(patch_config))
        .route("/v1/tenant/{tenant}", get(pass_through).delete(delete_tenant))
        .route("/v1/tenant/{tenant}/config", get(get_config))
        .route("/v1/tenant/{tenant}/location_config", put(set_location))
        .route("/v1/tenant/{tenant}/secondary/download", post(download))
        .route("/v1/tenant/{tenant}/timeline", get(pass_through).post(create_timeline))
        .route("/v1/tenant/{tenant}/timeline/{timeline}", delete(delete_timeline).get(pass_through))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/lsn_lease", post(on_all_shards))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/archival_config", put(on_all_shards))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/safekeeper_migrate", post(safekeeper_migrate))
        .route("/v1/tenant/{tenant}/{*rest}", get(pass_through))
        .route("/control/v1/tenant", get(list_tenants))
        .route("/control/v1/tenant/{tenant}", get(describe_tenant))
        .route("/control/v1/tenant/{tenant}/policy", put(tenant_policy))
        .route("/control/v1/tenant/{tenant}/migrate", put(migrate))
        .route("/control/v1/tenant/{tenant}/shard_split", put(split))
        .route("/control/v1/tenant/{tenant}/timeline/{timeline}", get(describe_timeline))
        .route("/debug/v1/reconcile_all", post(reconcile_all))
        .route("/debug/v1/tenant/{tenant}/locate", get(locate_tenant))
        .route("/debug/v1/tenant/{tenant}/timeline/{timeline}/locate", get(locate_timeline))
        .route("/debug/v1/tenant/{tenant}/timeline/{timeline}/import", post(import_timeline))
}

async fn ready(State(controller): Shared) -> Response {
    let status = if controller.is_started() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, Value::Null)
}
