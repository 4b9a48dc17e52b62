//! `group_duplicates`: groups of near-duplicates by their codes.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::ensure;
use dcgan_dedup::evaluate::PairToJudge;
use dcgan_dedup::group::{
    ComparedPair, GROUPS, GroupConfig, Mirrored, READABLE, Readable, Rule, group_against, group_images,
    read_groups,
};
use dcgan_dedup::hash::{Pictures, files::CODES, read_keys};
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
              list of borderline or mirrored pairs.",
    example: &["codes=runs/lsun/codes-robust"],
    paper: &PAPER,
    traits: Traits::NONE,
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
        if summary.search.n_skipped > 0 {
            ctx.progress().warn(format_args!(
                "{}, the largest of {}: {} in them not compared",
                counted(summary.search.n_hot_buckets, "hot bucket"),
                counted(summary.search.largest_bucket, "picture"),
                counted(summary.search.n_skipped, "pair")
            ));
        }
        if self.grouping.rule == Rule::Near && summary.n_crowded > 0 {
            ctx.progress().warn(format_args!(
                "{} of pictures with little to tell apart (strokes, digits and the like are half alike to many others) not taken for \
                 near-duplicates, though within `grouping.pixel_distance`: a third of it counts among those; look at {GROUPS_PAGE}",
                counted(summary.n_crowded, "pair")
            ));
        }
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
