//! Who depends on whom: cycles, and what is left of the graph without them.
//!
//! A cycle is no error here: its members start together. The graph says which edges lie inside one, so that they
//! become waits to explain rather than gates, and which may be written into Compose's label.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::hash::Hash;

use indexmap::{IndexMap, IndexSet};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

/// A directed graph over names; an edge points at what is depended on.
#[derive(Debug, Clone)]
pub struct Graph<N> {
    /// The names in order, each with the numbers of what it depends on, in order. A name's number is its place.
    edges: IndexMap<N, Vec<usize>>,
    /// Which strongly connected component a name lies in, by its number.
    group: Vec<usize>,
}

/// A closed path; prints as `a -> b -> a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle<N> {
    /// The names in order, without the first one repeated at the end. Never empty.
    pub path: Vec<N>,
}

impl<N: Ord + Hash + Clone> Graph<N> {
    /// Builds the graph of these names and edges; names that only edges mention are added.
    pub fn new(names: impl IntoIterator<Item = N>, edges: impl IntoIterator<Item = (N, N)>) -> Self {
        let mut all: IndexSet<N> = names.into_iter().collect();
        let mut given: Vec<(usize, usize)> = Vec::new();
        for (from, to) in edges {
            // Edges of one name mostly come together.
            let last = given.last().map(|(last, _)| *last).filter(|last| all.get_index(*last) == Some(&from));
            let from = last.unwrap_or_else(|| all.insert_full(from).0);
            given.push((from, all.insert_full(to).0));
        }
        let mut sorted: Vec<(usize, N)> = all.into_iter().enumerate().collect();
        sorted.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
        let mut number = vec![0; sorted.len()];
        for (place, (given_as, _)) in sorted.iter().enumerate() {
            number[*given_as] = place;
        }
        let mut edges: IndexMap<N, Vec<usize>> = sorted.into_iter().map(|(_, name)| (name, Vec::new())).collect();
        for (from, to) in given {
            edges[number[from]].push(number[to]);
        }
        for targets in edges.values_mut() {
            targets.sort_unstable();
            targets.dedup();
        }
        let group = groups(&edges);
        Self { edges, group }
    }

    /// Whether the two lie on a common cycle; a name shares one with itself only if it points at itself or lies on
    /// a longer one.
    #[must_use]
    pub fn share_cycle(&self, a: &N, b: &N) -> bool {
        match (self.edges.get_index_of(a), self.edges.get_index_of(b)) {
            (Some(a), Some(b)) if a == b => self.lies_on_one(a),
            (Some(a), Some(b)) => self.group[a] == self.group[b],
            _ => false,
        }
    }

    /// Whether the name lies on some cycle, one of length 1 included.
    #[must_use]
    pub fn is_cyclic(&self, name: &N) -> bool {
        self.edges.get_index_of(name).is_some_and(|number| self.lies_on_one(number))
    }

    fn lies_on_one(&self, number: usize) -> bool {
        self.edges[number].iter().any(|target| self.group[*target] == self.group[number])
    }

    /// The edges that lie on no cycle: what may be written where cycles are forbidden.
    pub fn acyclic_edges(&self) -> impl Iterator<Item = (&N, &N)> {
        let all = (0..self.edges.len()).flat_map(|from| self.edges[from].iter().map(move |to| (from, *to)));
        let outside = all.filter(|(from, to)| self.group[*from] != self.group[*to]);
        outside.filter_map(|(from, to)| Some((self.name(from)?, self.name(to)?)))
    }

    /// The shortest cycle that begins with the edge from `from` to `to`; None if that edge lies on none.
    #[must_use]
    pub fn cycle_through(&self, from: &N, to: &N) -> Option<Cycle<N>> {
        self.cycle_of(self.edges.get_index_of(from)?, self.edges.get_index_of(to)?)
    }

    fn cycle_of(&self, from: usize, to: usize) -> Option<Cycle<N>> {
        let mut path = vec![from];
        if from == to {
            self.lies_on_one(from).then_some(())?;
        } else {
            path.extend(self.shortest_path(to, from)?);
            path.pop();
        }
        Some(Cycle { path: path.into_iter().filter_map(|number| self.name(number).cloned()).collect() })
    }

    /// One cycle for each group of names that share cycles, beginning at the group's first name, in name order.
    #[must_use]
    pub fn cycles(&self) -> Vec<Cycle<N>> {
        let mut seen = BTreeSet::new();
        let mut cycles = Vec::new();
        for number in 0..self.edges.len() {
            if !self.lies_on_one(number) || !seen.insert(self.group[number]) {
                continue;
            }
            let through_each = self.edges[number].iter().filter_map(|to| self.cycle_of(number, *to));
            cycles.extend(through_each.min_by_key(|cycle| cycle.path.len()));
        }
        cycles
    }

    fn name(&self, number: usize) -> Option<&N> {
        self.edges.get_index(number).map(|(name, _)| name)
    }

    /// Both ends included; None if there is no way.
    fn shortest_path(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let mut came_from: Vec<Option<usize>> = vec![None; self.edges.len()];
        let mut queue = VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            if at == to {
                let mut path: Vec<usize> = std::iter::successors(Some(at), |at| came_from[*at]).collect();
                path.reverse();
                return Some(path);
            }
            for next in &self.edges[at] {
                if *next != from && came_from[*next].is_none() {
                    came_from[*next] = Some(at);
                    queue.push_back(*next);
                }
            }
        }
        None
    }
}

/// Kosaraju's algorithm rather than Tarjan's: petgraph's Tarjan recurses, and a long chain in a file would overflow
/// the stack.
fn groups<N>(edges: &IndexMap<N, Vec<usize>>) -> Vec<usize> {
    let mut graph: DiGraph<(), (), usize> = DiGraph::default();
    for _ in edges {
        graph.add_node(());
    }
    graph.extend_with_edges(
        edges.values().enumerate().flat_map(|(from, targets)| targets.iter().map(move |to| (from, *to))),
    );
    let mut group = vec![0; edges.len()];
    for (number, members) in kosaraju_scc(&graph).into_iter().enumerate() {
        for member in members {
            group[member.index()] = number;
        }
    }
    group
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
