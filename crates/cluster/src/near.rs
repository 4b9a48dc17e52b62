//! Near groups: pairs of codes within a radius, of pictures and of views of them, and the second look at each.
//!
//! Codes are brought together by the bits of a band, and each group of them is searched by the library that searches them on one machine
//! ([`SearchApart`]): the same comparisons are made, with the same limits on buckets of too many.

use std::collections::BTreeSet;
use std::path::Path;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{UInt32Type, UInt64Type};
use dcgan_dedup::Code;
use dcgan_dedup::group::{GroupConfig, SearchApart, SearchReport, crowd, threshold};
use dcgan_dedup::hash::files::{AUTOENCODER, PICTURES};
use serde::Serialize;

use crate::Result;
use crate::functions::{KeySpec, KeysSpec, LookSpec, NearSpec, VIEW, ViewSpec, WHOLE};
use crate::work::Work;

/// Bytes that a code takes while it is brought to its group, about.
const CODE_BYTES: usize = 80;

/// What was met on the way to the edges.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Near {
    /// Pairs of codes within the radius that were looked at.
    pub(crate) n_candidates: u64,
    /// Pairs that are near enough, each once.
    pub(crate) n_alike: u64,
    /// Pairs that are within the threshold, but not within the third of it that pictures have to be which are half alike to many others.
    pub(crate) n_crowded: u64,
    /// The search.
    pub(crate) search: SearchReport,
}

/// Makes the table `edges` (a, b): pairs of near-duplicates, a > b. Without pictures the codes alone decide.
pub(crate) fn edges(work: &mut Work<'_>, hashed: &Path, config: &GroupConfig, n: u64) -> Result<Near> {
    let sample = sample(work, n)?;
    let search = SearchApart::new(&sample, n as usize, config.radius, config.bucket_cap);
    let mut near = Near::default();
    near.search.n_bands = search.n_bands();
    let mut found = find(work, "near", &search, &[WHOLE], n)?;
    add(work, &mut near, &found)?;
    let pictures = hashed.join(PICTURES);
    if !pictures.exists() {
        pairs(work, &found)?;
        work.stage("edges", "SELECT DISTINCT greatest(\"first\", \"second\") AS a, least(\"first\", \"second\") AS b FROM pairs")?;
        near.n_candidates = work.count("SELECT count(*) FROM pairs")?;
        near.n_alike = near.n_candidates;
        return Ok(near);
    }
    let look = LookSpec { pictures: fs_err::canonicalize(pictures)?, n_images: n, config: config.clone() };
    let autoencoder = hashed.join(AUTOENCODER);
    if autoencoder.exists() && !config.probes().is_empty() {
        let of_views = of_views(work, &look, &fs_err::canonicalize(autoencoder)?, &sample)?;
        add(work, &mut near, &of_views)?;
        found.extend(of_views);
    }
    pairs(work, &found)?;
    work.stage("looked", &looked(&json(&look)))?;
    work.stage("crowded", &crowded(config, n))?;
    let alike = alike(config, n);
    work.stage("edges", &format!("SELECT DISTINCT greatest(\"first\", \"second\") AS a, least(\"first\", \"second\") AS b FROM ({alike})"))?;
    near.n_candidates = work.count("SELECT count(pixel_distance) FROM looked")?;
    near.n_alike = work.count("SELECT count(*) FROM edges")?;
    near.n_crowded = within(work, config, n)?.saturating_sub(near.n_alike);
    Ok(near)
}

/// Pictures that are in a crowd: half alike to many others, of those whose own codes are within the radius.
fn crowded(config: &GroupConfig, n: u64) -> String {
    let distance = config.pixel_distance;
    let half_alike = format!(
        "FROM looked WHERE view = {WHOLE} AND CAST(pixel_distance AS DOUBLE) > {distance:?}
         AND CAST(pixel_distance AS DOUBLE) <= {:?}",
        2.0 * distance
    );
    format!(
        "SELECT image FROM (SELECT \"first\" AS image {half_alike} UNION ALL SELECT \"second\" AS image {half_alike})
         GROUP BY image HAVING count(*) >= {}",
        crowd(n as usize)
    )
}

/// Pairs within the threshold, whether in a crowd or not.
fn within(work: &Work<'_>, config: &GroupConfig, n: u64) -> Result<u64> {
    work.count(&format!(
        "SELECT count(*) FROM (SELECT DISTINCT greatest(\"first\", \"second\"), least(\"first\", \"second\") FROM looked
         WHERE CAST(pixel_distance AS DOUBLE) <= {:?})",
        threshold(config, n as usize, 0)
    ))
}

/// Pairs that are near enough: nearer where one is in a crowd.
fn alike(config: &GroupConfig, n: u64) -> String {
    let within = |n_half_alike: u32| {
        format!("CAST(l.pixel_distance AS DOUBLE) <= {:?}", threshold(config, n as usize, n_half_alike))
    };
    format!(
        "SELECT l.\"first\", l.\"second\" FROM looked AS l
         LEFT JOIN crowded AS f ON l.\"first\" = f.image LEFT JOIN crowded AS s ON l.\"second\" = s.image
         WHERE {} OR ({} AND f.image IS NULL AND s.image IS NULL)",
        within(u32::MAX),
        within(0)
    )
}

/// Some of the codes, by which bands are made.
fn sample(work: &Work<'_>, n: u64) -> Result<Vec<Code>> {
    let step = SearchApart::sample_step(n as usize);
    let query = format!("SELECT word0, word1 FROM codes WHERE image % {step} = 0 ORDER BY image");
    let mut sample = Vec::new();
    work.session().read_in_order("sample", &query, &mut |batch| {
        let [low, high] = [0, 1].map(|k| batch.column(k).as_primitive::<UInt64Type>().values());
        sample.extend(low.iter().zip(high).map(|(&low, &high)| Code([low, high])));
        Ok(())
    })?;
    Ok(sample)
}

/// Finds the pairs of a view of each of some kinds and a whole picture; returns the names of the tables.
fn of_views(
    work: &mut Work<'_>,
    look: &LookSpec,
    autoencoder: &Path,
    sample: &[Code],
) -> Result<Vec<String>> {
    let mut sizes = Vec::new();
    let query = "SELECT DISTINCT width, height FROM codes ORDER BY width, height";
    work.session().read_in_order("sizes", query, &mut |batch| {
        let [widths, heights] = [0, 1].map(|k| batch.column(k).as_primitive::<UInt32Type>().values());
        sizes.extend(widths.iter().zip(heights).map(|(&width, &height)| [width, height]));
        Ok(())
    })?;
    let spec = ViewSpec { look: look.clone(), autoencoder: autoencoder.to_owned(), sizes };
    work.stage("views", &views(&json(&spec)))?;
    let is_any_grey = work.count(&format!("SELECT count(*) FROM views WHERE view = {WHOLE}"))? > 0;
    let config = &look.config;
    let mut kinds: Vec<(u32, u32)> = Vec::new();
    for (probe, view) in config.probes().iter().zip(WHOLE + 1..) {
        let n_views = work.count(&format!("SELECT count(*) FROM views WHERE view = {view}"))?;
        // Without a grey picture there is no grey copy.
        if n_views > 0 && (is_any_grey || !probe.is_grey()) {
            kinds.push((probe.radius(config.radius), view));
        }
    }
    let mut found = Vec::new();
    kinds.sort_unstable();
    for kinds in kinds.chunk_by(|a, b| a.0 == b.0) {
        let search = SearchApart::new(sample, look.n_images as usize, kinds[0].0, config.bucket_cap);
        let kinds: Vec<u32> = kinds.iter().map(|&(_, view)| view).collect();
        let name = format!("near_views_{}", kinds[0]);
        found.extend(find(work, &name, &search, &kinds, look.n_images)?);
    }
    Ok(found)
}

fn views(spec: &str) -> String {
    format!(
        "SELECT image, v['view'] AS view, v['word0'] AS word0, v['word1'] AS word1
         FROM (SELECT image, unnest(view_codes(image, width, height, {spec})) AS v FROM codes)"
    )
}

/// Makes the tables of a search, as many parts of it in one as memory allows, or of one part as many groups; returns their names.
fn find(work: &mut Work<'_>, name: &str, search: &SearchApart, kinds: &[u32], n: u64) -> Result<Vec<String>> {
    let spec = json(&NearSpec { search: search.clone() });
    let tasks: Vec<(u32, usize)> =
        kinds.iter().flat_map(|&view| (0..search.n_parts()).map(move |part| (view, part))).collect();
    // A stage has the same tasks when the job goes on with other memory.
    let most = work.keep(&format!("{name}_most"), work.session().most_rows(CODE_BYTES))?.max(1);
    // Of most pictures there is a view of a kind.
    let n_codes = if kinds == [WHOLE] { n } else { 2 * n } as usize;
    let n_shares = n_codes.div_ceil(most).max(1);
    let mut names = Vec::new();
    for (number, tasks) in tasks.chunks((most / n_codes.max(1)).max(1)).enumerate() {
        // Where there are several shares they are of one task.
        for share in 0..n_shares {
            let grouped = match tasks {
                &[(view, part)] => {
                    let key = json(&KeySpec { search: search.clone(), part });
                    format!(
                        "SELECT CAST({view} AS INT UNSIGNED) AS view, CAST({part} AS INT UNSIGNED) AS part, records(image, word0, word1) AS records
                         FROM (SELECT search_key(word0, word1, {key}) AS key, image, word0, word1 FROM ({}))
                         WHERE key % {n_shares} = {share} GROUP BY key",
                        searched(tasks)
                    )
                }
                _ => format!(
                    "SELECT k['view'] AS view, k['part'] AS part, records(image, word0, word1) AS records
                     FROM (SELECT unnest(search_keys(kind, word0, word1, {})) AS k, image, word0, word1 FROM ({}))
                     GROUP BY k['view'], k['part'], k['key']",
                    json(&KeysSpec { search: search.clone(), tasks: tasks.to_vec() }),
                    searched(tasks)
                ),
            };
            let query =
                format!("SELECT view, near_in(view, part, records, {spec}) AS found FROM ({grouped})");
            let share = if n_shares > 1 { format!("_{share}") } else { String::new() };
            let name = format!("{name}_{number}{share}");
            work.stage(&name, &query)?;
            names.push(name);
        }
    }
    Ok(names)
}

/// Codes of whole pictures, and those of views that are looked for among them.
fn searched(tasks: &[(u32, usize)]) -> String {
    let from = |kind: &str, image: &str, table: &str| {
        format!(
            "SELECT CAST({kind} AS INT UNSIGNED) AS kind, CAST({image} AS BIGINT UNSIGNED) AS image, word0, word1 FROM {table}"
        )
    };
    let whole = from(&WHOLE.to_string(), "image", "codes");
    let views: BTreeSet<u32> = tasks.iter().map(|task| task.0).filter(|&view| view != WHOLE).collect();
    let views: Vec<String> = views.iter().map(ToString::to_string).collect();
    match views.is_empty() {
        true => whole,
        false => {
            let views = format!("views WHERE view IN ({})", views.join(", "));
            format!("{whole} UNION ALL {}", from("view", &format!("CAST(image AS BIGINT) + {VIEW}"), &views))
        }
    }
}

/// Adds what searches met.
fn add(work: &Work<'_>, near: &mut Near, tables: &[String]) -> Result<()> {
    for table in tables {
        let count = |aggregate: &str, name: &str| {
            work.count(&format!("SELECT {aggregate}(CAST(found['{name}'] AS BIGINT)) FROM {table}"))
        };
        let report = &mut near.search;
        report.n_compared += count("sum", "n_compared")?;
        report.largest_bucket = report.largest_bucket.max(count("max", "largest_bucket")? as usize);
        report.n_hot_buckets += count("sum", "n_hot_buckets")? as usize;
        report.n_skipped += count("sum", "n_skipped")?;
    }
    Ok(())
}

/// Makes the table `pairs`: view, first, second, distance.
fn pairs(work: &mut Work<'_>, tables: &[String]) -> Result<()> {
    let unnested: Vec<String> =
        tables.iter().map(|table| format!("SELECT view, unnest(found['pairs']) AS p FROM {table}")).collect();
    let query = format!(
        "SELECT view, p['first'] AS \"first\", p['second'] AS \"second\", p['distance'] AS distance
         FROM ({}) WHERE p['first'] <> p['second']",
        unnested.join(" UNION ALL ")
    );
    work.stage("pairs", &query).map(|_| ())
}

fn looked(spec: &str) -> String {
    format!(
        "SELECT p.view, p.\"first\", p.\"second\", look(p.view, p.\"first\", p.\"second\", p.distance,
             f.width, f.height, s.width, s.height, {spec}) AS pixel_distance
         FROM pairs AS p JOIN codes AS f ON p.\"first\" = f.image JOIN codes AS s ON p.\"second\" = s.image"
    )
}

/// Settings as a literal.
pub(crate) fn json(settings: &impl Serialize) -> String {
    let text = serde_json::to_string(settings).unwrap_or_default();
    format!("'{}'", text.replace('\'', "''"))
}
