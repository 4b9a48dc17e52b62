//! Whether both sets are one, or have pictures in common.

use std::collections::HashSet;

use dcgan_metrics::Features;

/// What it means to compare a set with itself.
pub(super) const ITSELF: &str = "`generated` is the real set itself: this checks the measures (a distance of 0, precision and \
                                 recall of 100 %), and says nothing of a generator";

/// What to say where generated pictures have exactly the features of real ones.
pub(super) fn shared(real: &Features<'_>, generated: &Features<'_>) -> Option<String> {
    let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    let n_columns = real.n_columns();
    if n_columns != generated.n_columns() {
        return None;
    }
    // By a part of each row first, which tells most of them apart.
    let first = |row: &[f32]| bits(&row[..n_columns.min(16)]);
    let candidates: HashSet<Vec<u32>> = generated.values().chunks_exact(n_columns).map(first).collect();
    let of_real = real.values().chunks_exact(n_columns).filter(|row| candidates.contains(&first(row)));
    let of_real: HashSet<Vec<u32>> = of_real.map(bits).collect();
    let rows = generated.values().chunks_exact(n_columns);
    let n_shared =
        if of_real.is_empty() { 0 } else { rows.filter(|row| of_real.contains(&bits(row))).count() };
    let (n, n_real) = (generated.n_rows(), real.n_rows());
    match n_shared {
        0 => None,
        _ if n_shared == n && n == n_real => Some(ITSELF.to_owned()),
        _ => Some(format!(
            "{n_shared} of the {n} generated pictures have exactly the features of a real one: where they are copies, the figures \
             are better than those of new pictures"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_known_again_and_so_are_copies_in_it() {
        let values: Vec<f32> = (0..40 * 20).map(|i| (i % 97) as f32).collect();
        let set = |values| Features::new("real", values, 20).unwrap();
        let (real, other) = (set(&values[..400]), set(&values[400..]));
        assert_eq!(shared(&real, &real).unwrap(), ITSELF);
        assert_eq!(shared(&real, &other), None);
        // In another order.
        let turned: Vec<f32> = values[..400].chunks(20).rev().flatten().copied().collect();
        assert_eq!(shared(&real, &set(&turned)).unwrap(), ITSELF);
        let some = [&values[20..60], &values[420..500]].concat();
        let said = shared(&real, &set(&some)).unwrap();
        assert!(
            said.starts_with("2 of the 6 generated pictures have exactly the features of a real one"),
            "{said}"
        );
        // Alike in the part that is looked at first.
        let mut near = values[..400].to_vec();
        near.iter_mut().skip(19).step_by(20).for_each(|value| *value += 0.5);
        assert_eq!(shared(&real, &set(&near)), None);
    }
}
