//! Connected components of a graph, by alternating large-star and small-star joins (Kiveris et al. 2014, "Connected components in
//! MapReduce and beyond").
//!
//! An edge leads from a larger image `a` to a smaller one `b`. Large-star ties the larger neighbours of each image to the smallest of
//! all its neighbours and itself; small-star ties its smaller neighbours and itself to the smallest of them. Neither changes which
//! images are connected. When nothing changes any more, each image is tied to the smallest one of its component alone.

use crate::Result;
use crate::work::Work;

/// Finds the components of the table `edges` (a, b), a > b. Returns the name of the table (a, b) that ties each image to the smallest
/// one of its component, without that one itself.
pub(crate) fn components(work: &mut Work<'_>) -> Result<String> {
    let mut last = "edges".to_owned();
    let mut round = 0;
    loop {
        let (large, small) = (format!("large_star_{round}"), format!("small_star_{round}"));
        work.stage(&large, &large_star(&last))?;
        work.stage(&small, &small_star(&large))?;
        if is_same(work, &last, &small)? {
            return Ok(small);
        }
        (last, round) = (small, round + 1);
    }
}

fn large_star(edges: &str) -> String {
    format!(
        "WITH both_ways AS (SELECT a AS u, b AS v FROM {edges} UNION ALL SELECT b AS u, a AS v FROM {edges}),
         smallest AS (SELECT u AS centre, least(min(v), u) AS m FROM both_ways GROUP BY u)
         SELECT DISTINCT v AS a, m AS b FROM both_ways JOIN smallest ON u = centre WHERE v > u"
    )
}

fn small_star(edges: &str) -> String {
    format!(
        "WITH smallest AS (SELECT a AS centre, min(b) AS m FROM {edges} GROUP BY a)
         SELECT DISTINCT a, b FROM (
             SELECT b AS a, m AS b FROM {edges} JOIN smallest ON a = centre WHERE b > m
             UNION ALL SELECT centre AS a, m AS b FROM smallest)"
    )
}

fn is_same(work: &Work<'_>, last: &str, next: &str) -> Result<bool> {
    let count = |table: &str| work.count(&format!("SELECT count(*) FROM {table}"));
    if count(last)? != count(next)? {
        return Ok(false);
    }
    let new =
        format!("SELECT count(*) FROM {next} AS n LEFT ANTI JOIN {last} AS l ON n.a = l.a AND n.b = l.b");
    Ok(work.count(&new)? == 0)
}
