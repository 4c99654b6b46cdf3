//! The settings of a container that go to the engine as they are. Pure.

use std::collections::HashMap;

use bollard::models::{
    DeviceMapping, DeviceRequest as EngineRequest, HostConfig, HostConfigCgroupnsModeEnum, HostConfigIsolationEnum,
    HostConfigLogConfig, ResourcesBlkioWeightDevice, ThrottleDevice,
};

use crate::cluster::{Blkio, Device, DeviceRequest, Settings};

/// Puts the settings into what the engine is told.
pub(super) fn apply(settings: &Settings, host: &mut HostConfig) {
    names_and_namespaces(settings, host);
    limits(settings, host);
    host.devices = some(settings.devices.iter().map(device).collect());
    host.device_cgroup_rules = some(settings.device_cgroup_rules.clone());
    host.device_requests = some(settings.device_requests.iter().map(request).collect());
    host.log_config = settings.logging.as_ref().map(|logging| HostConfigLogConfig {
        typ: logging.driver.clone(),
        config: (!logging.options.is_empty()).then(|| logging.options.clone().into_iter().collect()),
    });
    if let Some(limits) = &settings.blkio {
        blkio(limits, host);
    }
}

fn names_and_namespaces(settings: &Settings, host: &mut HostConfig) {
    host.dns = some(settings.dns.clone());
    host.dns_options = some(settings.dns_opt.clone());
    host.dns_search = some(settings.dns_search.clone());
    host.group_add = some(settings.group_add.clone());
    host.volumes_from = some(settings.volumes_from.clone());
    host.pid_mode = settings.pid.clone();
    host.ipc_mode = settings.ipc.clone();
    host.uts_mode = settings.uts.clone();
    host.userns_mode = settings.userns_mode.clone();
    host.cgroupns_mode = settings.cgroup.as_deref().map(|mode| match mode {
        "host" => HostConfigCgroupnsModeEnum::HOST,
        _ => HostConfigCgroupnsModeEnum::PRIVATE,
    });
    host.cgroup_parent = settings.cgroup_parent.clone();
    host.annotations = map(&settings.annotations);
    host.storage_opt = map(&settings.storage_opt);
    host.runtime = settings.runtime.clone();
    host.isolation = settings.isolation.as_deref().and_then(|isolation| match isolation {
        "default" => Some(HostConfigIsolationEnum::DEFAULT),
        "process" => Some(HostConfigIsolationEnum::PROCESS),
        "hyperv" => Some(HostConfigIsolationEnum::HYPERV),
        _ => None,
    });
}

fn limits(settings: &Settings, host: &mut HostConfig) {
    host.nano_cpus = settings.nano_cpus;
    host.cpu_count = settings.cpu_count;
    host.cpu_percent = settings.cpu_percent;
    host.cpu_period = settings.cpu_period;
    host.cpu_quota = settings.cpu_quota;
    host.cpu_realtime_period = settings.cpu_rt_period;
    host.cpu_realtime_runtime = settings.cpu_rt_runtime;
    host.cpu_shares = settings.cpu_shares;
    host.cpuset_cpus = settings.cpuset.clone();
    host.memory_reservation = settings.mem_reservation;
    host.memory_swap = settings.memswap_limit;
    host.memory_swappiness = settings.mem_swappiness;
    host.oom_kill_disable = settings.oom_kill_disable.then_some(true);
    host.oom_score_adj = settings.oom_score_adj;
    host.pids_limit = settings.pids_limit;
}

fn blkio(limits: &Blkio, host: &mut HostConfig) {
    let throttled = |devices: &[(String, i64)]| {
        let device = |(path, rate): &(String, i64)| ThrottleDevice { path: Some(path.clone()), rate: Some(*rate) };
        some(devices.iter().map(device).collect())
    };
    let weighed = |(path, weight): &(String, u16)| ResourcesBlkioWeightDevice {
        path: Some(path.clone()),
        weight: Some(usize::from(*weight)),
    };
    host.blkio_weight = limits.weight;
    host.blkio_weight_device = some(limits.weight_device.iter().map(weighed).collect());
    host.blkio_device_read_bps = throttled(&limits.device_read_bps);
    host.blkio_device_read_iops = throttled(&limits.device_read_iops);
    host.blkio_device_write_bps = throttled(&limits.device_write_bps);
    host.blkio_device_write_iops = throttled(&limits.device_write_iops);
}

fn device(device: &Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.target.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    }
}

fn request(request: &DeviceRequest) -> EngineRequest {
    EngineRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: some(request.device_ids.clone()),
        // One set of capabilities, all of which are needed.
        capabilities: some(request.capabilities.clone()).map(|all| vec![all]),
        options: map(&request.options),
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn map(pairs: &std::collections::BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!pairs.is_empty()).then(|| pairs.clone().into_iter().collect())
}
