//! The stages as a graph: what comes before what.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// For each stage, the stages whose output it reads; both as indices.
#[derive(Debug, Clone)]
pub struct Graph {
    /// `parents[stage_idx]`, without repetition, in the order of the stages.
    pub parents: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of stages, given as each one's id and the ids of those that it reads; what names no stage is left out.
    pub fn new<'a>(stages: &[(&'a str, Vec<&'a str>)]) -> Self {
        let by_id: BTreeMap<&str, usize> =
            stages.iter().enumerate().map(|(idx, (id, _))| (*id, idx)).collect();
        let found = |reads: &Vec<&str>| -> BTreeSet<usize> {
            reads.iter().filter_map(|id| by_id.get(id).copied()).collect()
        };
        Self { parents: stages.iter().map(|(_, reads)| found(reads).into_iter().collect()).collect() }
    }

    /// Stages in an order in which each comes after what it reads, as near to the given order as can be.
    ///
    /// # Errors
    /// The stages of one cycle, in the order in which they feed each other.
    pub fn order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let children = self.children();
        let mut n_open: Vec<usize> = self.parents.iter().map(Vec::len).collect();
        let is_ready = |idx: &usize| self.parents[*idx].is_empty();
        let mut ready: BinaryHeap<Reverse<usize>> = (0..n_open.len()).filter(is_ready).map(Reverse).collect();
        let mut order = Vec::new();
        while let Some(Reverse(idx)) = ready.pop() {
            order.push(idx);
            for child in &children[idx] {
                n_open[*child] -= 1;
                if n_open[*child] == 0 {
                    ready.push(Reverse(*child));
                }
            }
        }
        if order.len() == n_open.len() {
            return Ok(order);
        }
        let mut done = vec![false; n_open.len()];
        order.iter().for_each(|idx| done[*idx] = true);
        Err(self.cycle(&done))
    }

    /// For each stage, the stages that read it.
    fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.parents.len()];
        for (idx, parents) in self.parents.iter().enumerate() {
            parents.iter().for_each(|parent| children[*parent].push(idx));
        }
        children
    }

    /// One cycle among the stages that are not done; each of these has a parent that is not done.
    fn cycle(&self, done: &[bool]) -> Vec<usize> {
        let mut path: Vec<usize> = done.iter().position(|done| !done).into_iter().collect();
        let mut is_on_path = vec![false; done.len()];
        while let Some(last) = path.last() {
            is_on_path[*last] = true;
            let Some(next) = self.parents[*last].iter().copied().find(|parent| !done[*parent]) else { break };
            if is_on_path[next] {
                let start = path.iter().position(|idx| *idx == next).unwrap_or(0);
                let mut cycle = path.split_off(start);
                cycle.reverse();
                return cycle;
            }
            path.push(next);
        }
        path
    }

    /// The given stages and everything they need.
    pub fn with_ancestors(&self, of: &[usize]) -> BTreeSet<usize> {
        reached(of, &self.parents)
    }

    /// The given stages and everything that needs them.
    pub fn with_descendants(&self, of: &[usize]) -> BTreeSet<usize> {
        reached(of, &self.children())
    }
}

/// The given stages and all that can be reached from them.
fn reached(of: &[usize], next: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = of.to_vec();
    while let Some(idx) = open.pop() {
        if found.insert(idx) {
            open.extend(&next[idx]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_follows_the_manifest_where_it_may() {
        let graph = Graph { parents: vec![vec![2], vec![], vec![], vec![0, 1]] };
        assert_eq!(graph.order(), Ok(vec![1, 2, 0, 3]));
        assert_eq!(graph.with_ancestors(&[0]), BTreeSet::from([0, 2]));
        assert_eq!(graph.with_descendants(&[2]), BTreeSet::from([0, 2, 3]));
    }

    #[test]
    fn a_cycle_is_named_without_what_hangs_on_it() {
        // 3 hangs on the cycle 0 → 1 → 2 → 0.
        let graph = Graph { parents: vec![vec![2], vec![0], vec![1], vec![2]] };
        let mut cycle = graph.order().unwrap_err();
        cycle.sort_unstable();
        assert_eq!(cycle, [0, 1, 2]);
    }
}
