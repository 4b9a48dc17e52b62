//! `group_duplicates`: groups of near-duplicates by their codes.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::ensure;
use dcgan_dedup::evaluate::PairToJudge;
use dcgan_dedup::group::{
    ComparedPair, GROUPS, GroupConfig, Member, Mirrored, READABLE, Readable, Rule, RuleCounts, SearchReport,
    group_against, group_images, read_groups,
};
use dcgan_dedup::hash::{Pictures, files::CODES, read_images, read_keys};
use dcgan_engine::cluster::{Cluster, cluster_settings};
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Stated, by_stage, no_bearing, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use dcgan_files::words::counted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pages::groups_page;
use crate::{artifact, published};

/// What to group, and by which rule.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupDuplicates {
    /// The codes that `hash_images` made.
    codes: Input,
    /// The codes of another set, by the same autoencoder: then what is in both is found, not what is double in the first, and without it
    /// `remove_duplicates` writes what is in the first and not in the other.
    #[serde(default)]
    against: Option<Input>,
    /// The rules.
    #[serde(default)]
    grouping: GroupConfig,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "group_duplicates",
    version: 8,
    summary: "find groups of near-duplicates by their codes: equal ones, or near ones that a second look confirms",
    details: "Writes groups.parquet (group, key, representative, distance, pixel_distance, blake3) by the rule that is set, the same with \
              who stays and why as map.csv and map.parquet, and \
              groups.json with the counts of both rules side by side, what the search met (hot buckets), and in how many bits \
              near-duplicates and random pairs differ. borderline.json \
              lists the pairs nearest to the threshold of the second look; groups.html shows the groups, the least sure first, for people to mark \
              what is not the same: save pairs.csv there and give it to `remove_duplicates` as `judged`; readable.json hands on which pictures could not be \
              hashed. `exact` is the paper's rule and finds little more \
              than re-encodings; `near` also finds crops, squeezed, grey, blurred and slightly turned copies, other sizes and other brightness, and mirrored \
              ones where `grouping.mirrored` asks for them (mirrored.json lists those that both stay); `phash` is a plain \
              perceptual hash. All see the central square of a \
              picture alone, as the paper's 32×32 crops do: pictures that differ beside it are duplicates to them.\n\n\
              In map.csv and map.parquet `distance` and `pixel_distance` are of the whole pictures. Beyond the radius or the threshold they \
              say that a picture was found by the code of a view (a part, squeezed, grey, blurred, turned, mirrored), or is like another of the \
              group that is like the one that stays.\n\n\
              With `against` pictures are looked for in another set, such as training pictures among test pictures: groups.json names \
              the first 50 that are in both, groups.parquet all, each with its counterpart as representative; there is no map, and no \
              list of borderline or mirrored pairs.\n\n\
              On a cluster (`--cluster`, or the manifest's [cluster]) groups.parquet and the map are the same to the byte; groups.json holds the \
              counts of the rule that is set alone, and there is no list of borderline pairs.",
    example: &["codes=runs/lsun/codes-robust"],
    paper: &PAPER,
    // On a cluster what is complete stays.
    traits: Traits { is_resumable: true, uses_cluster: true, ..Traits::NONE },
    config: ConfigType::of::<GroupDuplicates>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 14] = [
    no_bearing("codes"),
    no_bearing("against"),
    by_stage("grouping.rule"),
    by_stage("grouping.radius"),
    by_stage("grouping.pixel_distance"),
    by_stage("grouping.crops"),
    by_stage("grouping.squeezed"),
    by_stage("grouping.grey"),
    by_stage("grouping.blurred"),
    by_stage("grouping.turned"),
    by_stage("grouping.mirrored"),
    by_stage("grouping.phash_radius"),
    by_stage("grouping.bucket_cap"),
    unstated("grouping.keep"),
];

/// Pairs for people to look at.
pub(crate) const BORDERLINE: &str = "borderline.json";
/// The page on which groups are looked through.
const GROUPS_PAGE: &str = "groups.html";

/// What `dcgan-cluster group` reports, as far as it is looked at here.
#[derive(Deserialize)]
struct OnCluster {
    n_images: u64,
    #[serde(default)]
    exact: RuleCounts,
    #[serde(default)]
    near: RuleCounts,
    #[serde(default)]
    n_crowded: u64,
    #[serde(default)]
    search: SearchReport,
}

impl Stage for GroupDuplicates {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let against = self.against.iter();
        let against = against.map(|name| InputRef { key: "against", name, needs: artifact::CODES });
        std::iter::once(InputRef { key: "codes", name: &self.codes, needs: artifact::CODES })
            .chain(against)
            .collect()
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::GROUPS]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("grouping", self.grouping.validate());
        if self.against.is_some() && self.grouping.rule == Rule::Phash {
            let message = "expected exact or near, where there is `against`, found phash".to_owned();
            problems.push(ConfigProblem { key: "grouping.rule".to_owned(), message });
        }
        problems
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let hashed = ctx.input(&self.codes);
        let unless = [
            ("`against` is set", self.against.is_some()),
            ("`grouping.rule` is phash", self.grouping.rule == Rule::Phash),
            ("`grouping.mirrored` is report", self.grouping.mirrored == Mirrored::Report),
        ];
        if let Some(cluster) = ctx.cluster(&unless)? {
            return self.group_on(cluster, &hashed, ctx);
        }
        let mut task = ctx.task("comparing", "pairs");
        if let Some(against) = &self.against {
            let against = ctx.input(against);
            ensure!(
                fs_err::canonicalize(&hashed)? != fs_err::canonicalize(&against)?,
                "`against`: expected the codes of another set than `codes`, found the same in {}",
                against.display()
            );
            let mut observe = |done, total| task.observe(done, total);
            let summary = group_against(&hashed, &against, &self.grouping, ctx.out, &mut observe)?;
            let pictures = Pictures::of_hashed(&hashed)?.and(Pictures::of_hashed(&against)?);
            self.write_page(ctx.out, (&summary.groups, &summary.doubts), &pictures)?;
            ctx.write_json("groups.json", &summary)?;
            ctx.write_json(READABLE, &Readable::of_hashed(&hashed)?)?;
            let differences = published::compare_rule(&self.grouping);
            return Ok(Outcome { metrics: serde_json::to_value(&summary)?, differences });
        }
        let summary =
            group_images(&hashed, &self.grouping, ctx.out, &mut |done, total| task.observe(done, total))?;
        drop(task);
        self.say_what_was_met(&summary.search, summary.n_crowded, ctx);
        let pictures = Pictures::of_hashed(&hashed)?;
        self.write_page(ctx.out, (&summary.groups, &summary.doubts), &pictures)?;
        ctx.write_json("groups.json", &summary)?;
        ctx.write_json(READABLE, &Readable::of_hashed(&hashed)?)?;
        ctx.write_json(BORDERLINE, &pairs_to_judge(&hashed, &summary.borderline)?)?;
        if self.grouping.mirrored != Mirrored::Ignore {
            ctx.write_json("mirrored.json", &pairs_to_judge(&hashed, &summary.mirrored)?)?;
        }
        let found = summary.of(self.grouping.rule);
        let mut differences = published::compare_duplicates(found.n_removed, summary.n_images);
        differences.join(published::compare_rule(&self.grouping));
        Ok(Outcome { metrics: serde_json::to_value(&summary)?, differences })
    }
}

impl GroupDuplicates {
    fn say_what_was_met(&self, search: &SearchReport, n_crowded: u64, ctx: &Context<'_>) {
        if search.n_skipped > 0 {
            ctx.progress().warn(format_args!(
                "{}, the largest of {}: {} in them not compared",
                counted(search.n_hot_buckets, "hot bucket"),
                counted(search.largest_bucket, "picture"),
                counted(search.n_skipped, "pair")
            ));
        }
        if self.grouping.rule == Rule::Near && n_crowded > 0 {
            ctx.progress().warn(format_args!(
                "{} of pictures with little to tell apart (strokes, digits and the like are half alike to many others) not taken for \
                 near-duplicates, though within `grouping.pixel_distance`: a third of it counts among those; look at {GROUPS_PAGE}",
                counted(n_crowded, "pair")
            ));
        }
    }

    /// The codes are compared wherever there is room. Of the groups on the page the doubt is how far a picture is from the one that stays.
    fn group_on(&self, cluster: &Cluster, hashed: &Path, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let mut arguments = vec!["--codes".into(), hashed.into()];
        arguments.extend(cluster_settings(&self.grouping)?);
        let mut metrics = cluster.run(ctx.out, ctx.progress(), ("group", arguments))?;
        let found: OnCluster = serde_json::from_value(metrics.clone())?;
        self.say_what_was_met(&found.search, found.n_crowded, ctx);
        let members = read_groups(&ctx.out.join(GROUPS))?;
        let keys: HashSet<&str> = members.iter().flatten().map(|member| member.key.as_str()).collect();
        let images: HashMap<String, u32> = read_images(&hashed.join(CODES), |key| keys.contains(key))?;
        let (mut groups, mut doubts) = (Vec::new(), Vec::new());
        for group in &members {
            let (stays, others): (Vec<&Member>, Vec<&Member>) =
                group.iter().partition(|member| member.key == member.representative);
            groups.push(
                stays.iter().chain(&others).filter_map(|member| images.get(&member.key).copied()).collect(),
            );
            doubts.push(group.iter().map(|member| member.pixel_distance).fold(0.0, f32::max));
        }
        self.write_page(ctx.out, (&groups, &doubts), &Pictures::of_hashed(hashed)?)?;
        let counts = if self.grouping.rule == Rule::Near { found.near } else { found.exact };
        let mut differences = published::compare_duplicates(counts.n_removed, found.n_images);
        differences.join(published::compare_rule(&self.grouping));
        metrics["cluster"] = cluster.scheduler.as_str().into();
        Ok(Outcome { metrics, differences })
    }

    fn write_page(
        &self,
        out: &Path,
        (images, doubts): (&[Vec<u32>], &[f32]),
        pictures: &Pictures,
    ) -> anyhow::Result<()> {
        let groups = read_groups(&out.join(GROUPS))?;
        let rule = format!("the rule `{}`", self.grouping.rule);
        let page = groups_page(&rule, &groups, (images, doubts), pictures)?;
        Ok(fs_err::write(out.join(GROUPS_PAGE), page)?)
    }
}

/// Pairs with their keys.
pub(crate) fn pairs_to_judge(hashed: &Path, pairs: &[ComparedPair]) -> anyhow::Result<Vec<PairToJudge>> {
    let images: HashSet<u32> = pairs.iter().flat_map(|pair| [pair.first, pair.second]).collect();
    let keys: HashMap<u32, String> =
        read_keys(&hashed.join(CODES), |image| images.contains(&image))?.into_iter().collect();
    let key = |image: u32| keys.get(&image).cloned().unwrap_or_default();
    let pairs = pairs.iter().map(|pair| PairToJudge {
        first: key(pair.first),
        second: key(pair.second),
        distance: pair.distance,
        pixel_distance: pair.pixel_distance,
    });
    Ok(pairs.collect())
}
