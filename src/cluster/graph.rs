//! Who depends on whom: cycles, and what is left of the graph without them.
//!
//! A cycle is no error here: its members start together. The graph says which edges lie inside one, so that they
//! become waits to explain rather than gates, and which may be written into Compose's label.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use petgraph::algo::kosaraju_scc;
use petgraph::graphmap::DiGraphMap;

/// A directed graph over names; an edge points at what is depended on.
#[derive(Debug, Clone)]
pub struct Graph<N> {
    edges: BTreeMap<N, BTreeSet<N>>,
    /// Number of the strongly connected component that a name lies in.
    group: BTreeMap<N, usize>,
}

/// A closed path; prints as `a -> b -> a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle<N> {
    /// The names in order, without the first one repeated at the end. Never empty.
    pub path: Vec<N>,
}

impl<N: Ord + Clone> Graph<N> {
    /// Builds the graph of these names and edges; names that only edges mention are added.
    pub fn new(names: impl IntoIterator<Item = N>, edges: impl IntoIterator<Item = (N, N)>) -> Self {
        let mut map: BTreeMap<N, BTreeSet<N>> = names.into_iter().map(|name| (name, BTreeSet::new())).collect();
        for (from, to) in edges {
            map.entry(to.clone()).or_default();
            map.entry(from).or_default().insert(to);
        }
        let group = groups(&map);
        Self { edges: map, group }
    }

    /// Whether the two lie on a common cycle; a name shares one with itself only if it points at itself or lies on
    /// a longer one.
    #[must_use]
    pub fn share_cycle(&self, a: &N, b: &N) -> bool {
        if a == b {
            return self.is_cyclic(a);
        }
        matches!((self.group.get(a), self.group.get(b)), (Some(a), Some(b)) if a == b)
    }

    /// Whether the name lies on some cycle, one of length 1 included.
    #[must_use]
    pub fn is_cyclic(&self, name: &N) -> bool {
        let Some(group) = self.group.get(name) else { return false };
        self.edges.get(name).is_some_and(|targets| targets.iter().any(|target| self.group.get(target) == Some(group)))
    }

    /// The edges that lie on no cycle: what may be written where cycles are forbidden.
    pub fn acyclic_edges(&self) -> impl Iterator<Item = (&N, &N)> {
        self.edges
            .iter()
            .flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)))
            .filter(|(from, to)| self.group.get(from) != self.group.get(to))
    }

    /// The shortest cycle that begins with the edge from `from` to `to`; None if that edge lies on none.
    #[must_use]
    pub fn cycle_through(&self, from: &N, to: &N) -> Option<Cycle<N>> {
        if from == to {
            return self.is_cyclic(from).then(|| Cycle { path: vec![from.clone()] });
        }
        let mut path = vec![from.clone()];
        path.extend(self.shortest_path(to, from)?);
        path.pop();
        Some(Cycle { path })
    }

    /// One cycle for each group of names that share cycles, beginning at the group's first name, in name order.
    #[must_use]
    pub fn cycles(&self) -> Vec<Cycle<N>> {
        let mut seen = BTreeSet::new();
        let mut cycles = Vec::new();
        for (name, targets) in &self.edges {
            if !self.is_cyclic(name) || !seen.insert(self.group.get(name)) {
                continue;
            }
            let shortest =
                targets.iter().filter_map(|to| self.cycle_through(name, to)).min_by_key(|cycle| cycle.path.len());
            cycles.extend(shortest);
        }
        cycles
    }

    /// Both ends included; None if there is no way.
    fn shortest_path(&self, from: &N, to: &N) -> Option<Vec<N>> {
        let mut came_from: BTreeMap<&N, &N> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(name) = queue.pop_front() {
            if name == to {
                let mut path = vec![name.clone()];
                let mut at = name;
                while at != from {
                    at = came_from.get(at)?;
                    path.push(at.clone());
                }
                path.reverse();
                return Some(path);
            }
            for next in self.edges.get(name)? {
                if next != from && !came_from.contains_key(next) {
                    came_from.insert(next, name);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// Kosaraju's algorithm rather than Tarjan's: petgraph's Tarjan recurses, and a long chain in a file would overflow
/// the stack.
fn groups<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>) -> BTreeMap<N, usize> {
    let number: BTreeMap<&N, usize> = edges.keys().enumerate().map(|(i, name)| (name, i)).collect();
    let names: Vec<&N> = edges.keys().collect();
    let mut graph: DiGraphMap<usize, ()> = DiGraphMap::with_capacity(names.len(), names.len());
    for (from, (_, targets)) in edges.iter().enumerate() {
        graph.add_node(from);
        for to in targets.iter().filter_map(|target| number.get(target)) {
            graph.add_edge(from, *to, ());
        }
    }
    let groups = kosaraju_scc(&graph).into_iter().enumerate();
    groups
        .flat_map(|(group, members)| members.into_iter().map(move |member| (member, group)))
        .filter_map(|(member, group)| names.get(member).map(|name| ((*name).clone(), group)))
        .collect()
}

impl<N: fmt::Display> fmt::Display for Cycle<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.path {
            write!(f, "{name} -> ")?;
        }
        match self.path.first() {
            Some(first) => write!(f, "{first}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(edges: &[(&'static str, &'static str)]) -> Graph<&'static str> {
        Graph::new([], edges.iter().copied())
    }

    #[test]
    fn a_cycle_prints_its_way_round() {
        let graph = graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("d", "a"), ("e", "e")]);
        let cycles: Vec<String> = graph.cycles().iter().map(ToString::to_string).collect();
        assert_eq!(cycles, ["a -> b -> a", "e -> e"]);
        assert_eq!(graph.cycle_through(&"b", &"c").unwrap().to_string(), "b -> c -> a -> b");
        assert_eq!(graph.cycle_through(&"d", &"a"), None);
    }

    #[test]
    fn only_edges_outside_cycles_are_kept() {
        let graph = graph(&[("a", "b"), ("b", "a"), ("c", "a"), ("c", "c"), ("c", "d")]);
        assert_eq!(graph.acyclic_edges().collect::<Vec<_>>(), [(&"c", &"a"), (&"c", &"d")]);
        assert!(graph.share_cycle(&"a", &"b"));
        assert!(graph.share_cycle(&"c", &"c"));
        assert!(!graph.share_cycle(&"d", &"d"));
        assert!(!graph.share_cycle(&"c", &"a"));
        assert!(!graph.is_cyclic(&"nobody"));
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let graph = Graph::new([], (0u32..100_000).map(|n| (n, n + 1)));
        assert!(graph.cycles().is_empty());
    }

    proptest! {
        #[test]
        fn what_is_kept_has_no_cycle_and_what_is_dropped_lies_on_one(
            edges in prop::collection::vec((0u8..8, 0u8..8), 0..24),
        ) {
            let graph = Graph::new([], edges.iter().copied());
            let kept: BTreeSet<(u8, u8)> = graph.acyclic_edges().map(|(from, to)| (*from, *to)).collect();
            prop_assert!(Graph::new([], kept.iter().copied()).cycles().is_empty());
            for edge in edges {
                prop_assert_eq!(kept.contains(&edge), graph.cycle_through(&edge.0, &edge.1).is_none());
            }
        }
    }
}
