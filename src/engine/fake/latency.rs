//! How long the engine's calls take, and what the engine says of itself.

use std::time::Duration;

use crate::engine::EngineInfo;

/// The least and the most that calls take; each draws its own time between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latency {
    /// Any call that isn't listed here.
    pub call: (Duration, Duration),
    /// Listing all there is: the real engine is asked about each container besides.
    pub list: (Duration, Duration),
    /// Creating a container.
    pub create: (Duration, Duration),
    /// Starting a container whose behaviour doesn't say.
    pub start: (Duration, Duration),
    /// Removing a container, once its process ended.
    pub remove: (Duration, Duration),
    /// An event's way to its subscribers.
    pub event: (Duration, Duration),
    /// Starts are done one after another, each taking this long: the real engine's CPU bounds them.
    pub serial_start: Option<Duration>,
    /// A call without an answer fails after this time.
    pub limit: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            call: (ms(1), ms(5)),
            list: (ms(2), ms(20)),
            create: (ms(5), ms(15)),
            start: (ms(20), ms(60)),
            remove: (ms(20), ms(80)),
            event: (ms(0), ms(40)),
            serial_start: None,
            limit: Duration::from_secs(30),
        }
    }
}

/// What a fake engine says of itself unless told otherwise: a 20.10 on this machine.
pub(super) fn engine_info() -> EngineInfo {
    EngineInfo {
        version: "20.10.24".to_owned(),
        api_version: "1.41".to_owned(),
        address: "fake://".to_owned(),
        is_local: true,
        cpus: 2,
        operating_system: "a test".to_owned(),
        memory: 8 << 30,
    }
}
