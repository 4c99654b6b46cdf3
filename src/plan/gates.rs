//! Which starts may go: a gate is open when the peer it waits for has come far enough.

use crate::cluster::{Gate, GateCondition, StartMode};
use crate::event::Phase;

/// How far a peer has come, as far as gates care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerProgress {
    /// Its phase.
    pub phase: Phase,
    /// It has run since this run of convoke began, or runs.
    pub has_started: bool,
}

/// Whether the gate lets its component start.
#[must_use]
pub fn is_open(gate: &Gate, start: StartMode, peer: PeerProgress) -> bool {
    if peer.phase == Phase::Failed && !gate.required {
        return true;
    }
    match gate.condition {
        GateCondition::Completed => peer.phase == Phase::Completed,
        _ if start == StartMode::Together => true,
        // A job that was done before this run isn't started again.
        GateCondition::Started => peer.has_started || peer.phase == Phase::Completed,
        GateCondition::Ready => peer.phase.is_settled(),
    }
}

/// The phase that the gate waits for.
#[must_use]
pub const fn awaited(gate: &Gate) -> Phase {
    match gate.condition {
        GateCondition::Started => Phase::Started,
        GateCondition::Ready => Phase::Ready,
        GateCondition::Completed => Phase::Completed,
    }
}

/// What the gate waits for, for people.
#[must_use]
pub fn describe(gate: &Gate) -> String {
    match gate.condition {
        GateCondition::Started => format!("starts when {} has started", gate.on),
        GateCondition::Ready => format!("starts when {} is ready", gate.on),
        GateCondition::Completed => format!("starts when {} has completed", gate.on),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ComponentName;

    fn gate(condition: GateCondition) -> Gate {
        Gate { on: ComponentName::new("db").unwrap(), condition, required: true }
    }

    fn at(phase: Phase) -> PeerProgress {
        PeerProgress { phase, has_started: phase >= Phase::Started }
    }

    #[test]
    fn each_condition_waits_for_its_own_phase() {
        for (condition, closed, open) in [
            (GateCondition::Started, Phase::Starting, Phase::Started),
            (GateCondition::Ready, Phase::Live, Phase::Ready),
            (GateCondition::Completed, Phase::Ready, Phase::Completed),
        ] {
            assert!(!is_open(&gate(condition), StartMode::Gated, at(closed)), "{condition:?}");
            assert!(is_open(&gate(condition), StartMode::Gated, at(open)), "{condition:?}");
        }
    }

    #[test]
    fn together_leaves_only_completion() {
        assert!(is_open(&gate(GateCondition::Ready), StartMode::Together, at(Phase::Pending)));
        assert!(!is_open(&gate(GateCondition::Completed), StartMode::Together, at(Phase::Started)));
    }

    #[test]
    fn a_failed_peer_opens_an_optional_gate_only() {
        let mut optional = gate(GateCondition::Ready);
        assert!(!is_open(&optional, StartMode::Gated, at(Phase::Failed)));
        optional.required = false;
        assert!(is_open(&optional, StartMode::Gated, at(Phase::Failed)));
    }
}
