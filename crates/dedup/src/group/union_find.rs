//! Disjoint sets.

/// A union-find over 0 to n − 1, by smallest member and path halving: the root of a set is its smallest member, so that
/// the sets do not depend on the order in which they were joined.
#[derive(Debug)]
pub struct UnionFind {
    parents: Vec<u32>,
}

impl UnionFind {
    /// `n` sets of one.
    pub fn new(n: u32) -> Self {
        Self { parents: (0..n).collect() }
    }

    /// The smallest member of the set `i` is in.
    pub fn find(&mut self, mut i: u32) -> u32 {
        while self.parents[i as usize] != i {
            let grandparent = self.parents[self.parents[i as usize] as usize];
            self.parents[i as usize] = grandparent;
            i = grandparent;
        }
        i
    }

    /// Joins the sets of `i` and `j`; true if they were two.
    pub fn join(&mut self, i: u32, j: u32) -> bool {
        let (i, j) = (self.find(i), self.find(j));
        self.parents[i.max(j) as usize] = i.min(j);
        i != j
    }

    /// The sets of at least two, in the order of their smallest members; the members of each in rising order.
    pub fn groups(&mut self) -> Vec<Vec<u32>> {
        let n = self.parents.len() as u32;
        let mut group_of_root = std::collections::HashMap::new();
        let mut groups: Vec<Vec<u32>> = Vec::new();
        // A root is its set's smallest member, and so comes before the others.
        for i in 0..n {
            let root = self.find(i);
            if root != i {
                let group = *group_of_root.entry(root).or_insert_with(|| {
                    groups.push(vec![root]);
                    groups.len() - 1
                });
                groups[group].push(i);
            }
        }
        groups.sort_unstable();
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_do_not_depend_on_the_order() {
        let pairs = [(5, 2), (7, 9), (2, 8), (9, 4)];
        for turn in 0..pairs.len() {
            let mut sets = UnionFind::new(10);
            for k in 0..pairs.len() {
                let (i, j) = pairs[(k + turn) % pairs.len()];
                assert!(sets.join(i, j));
            }
            assert!(!sets.join(8, 5));
            assert_eq!(sets.find(8), 2);
            assert_eq!(sets.groups(), [vec![2, 5, 8], vec![4, 7, 9]]);
        }
    }
}
