//! A tenant's own settings.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::model::TenantConfig;
use super::state::Controller;
use crate::http::ApiError;
use crate::ids::TenantId;

/// The keys that there are. Their values are handed on to pageservers as they are.
const KEYS: &[&str] = &[
    "checkpoint_distance",
    "checkpoint_timeout",
    "compaction_target_size",
    "compaction_period",
    "compaction_threshold",
    "compaction_upper_limit",
    "compaction_algorithm",
    "compaction_shard_ancestor",
    "gc_horizon",
    "gc_period",
    "image_creation_threshold",
    "image_layer_force_creation_period",
    "pitr_interval",
    "walreceiver_connect_timeout",
    "lagging_wal_timeout",
    "max_lsn_wal_lag",
    "eviction_policy",
    "min_resident_size_override",
    "evictions_low_residence_duration_metric_threshold",
    "heatmap_period",
    "lazy_slru_download",
    "timeline_get_throttle",
    "image_layer_creation_check_threshold",
    "image_creation_preempt_threshold",
    "lsn_lease_length",
    "lsn_lease_length_for_ts",
    "timeline_offloading",
    "rel_size_v2_enabled",
    "gc_compaction_enabled",
    "gc_compaction_verification",
    "gc_compaction_initial_threshold_kb",
    "gc_compaction_ratio_percent",
    "sampling_ratio",
    "relsize_snapshot_cache_capacity",
    "basebackup_cache_enabled",
];

/// Body of PUT and PATCH `/v1/tenant/config`; in a PATCH null removes a key.
#[derive(Debug, Deserialize)]
pub struct ConfigRequest {
    tenant_id: TenantId,
    #[serde(flatten)]
    config: TenantConfig,
}

/// Says like serde which key isn't one.
pub fn check_keys(config: &TenantConfig) -> Result<(), ApiError> {
    match config.keys().find(|key| !KEYS.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(ApiError::BadRequest(format!("Failed to parse json request: unknown field `{key}`"))),
    }
}

impl Controller {
    pub fn tenant_config(&self, tenant: TenantId) -> Result<Value, ApiError> {
        let model = self.model();
        let shard = model.tenant(tenant).next().ok_or_else(|| ApiError::NotFound("Tenant not found".into()))?;
        Ok(json!({ "tenant_specific_overrides": shard.config, "effective_config": shard.config }))
    }

    /// PUT: all settings anew.
    pub async fn replace_config(self: &Arc<Self>, mut request: ConfigRequest) -> Result<(), ApiError> {
        check_keys(&request.config)?;
        let _lock = self.lock_tenant(request.tenant_id).await;
        self.must_exist(request.tenant_id)?;
        request.config.retain(|_, value| !value.is_null());
        self.apply_config(request.tenant_id, request.config).await
    }

    /// PATCH: only the given keys.
    pub async fn patch_config(self: &Arc<Self>, request: ConfigRequest) -> Result<(), ApiError> {
        check_keys(&request.config)?;
        let _lock = self.lock_tenant(request.tenant_id).await;
        self.must_exist(request.tenant_id)?;
        let before = self.model().tenant(request.tenant_id).next().map(|shard| shard.config.clone());
        let mut config = before.unwrap_or_default();
        config.extend(request.config);
        config.retain(|_, value| !value.is_null());
        self.apply_config(request.tenant_id, config).await
    }

    async fn apply_config(self: &Arc<Self>, tenant: TenantId, config: TenantConfig) -> Result<(), ApiError> {
        self.db.set_config(tenant, &config).await?;
        for shard in self.model().tenant_mut(tenant) {
            shard.config.clone_from(&config);
        }
        let shards = self.model().shard_ids(tenant);
        self.reconcile_all(shards).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_none_is_named() {
        let config = |key: &str| TenantConfig::from_iter([(key.to_owned(), json!(1))]);
        assert_eq!(check_keys(&config("gc_horizon")), Ok(()));
        let error = check_keys(&config("no_such_key")).unwrap_err();
        assert_eq!(error.to_string(), "\"Failed to parse json request: unknown field `no_such_key`\"");
    }
}
